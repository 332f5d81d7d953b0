// Which container this process runs in, if any.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hg::docker {

/// The container id in the text of /proc/self/mountinfo: an engine mounts /etc/hostname and its kin from …/containers/<id>/.
std::optional<std::string> container_id_of(std::string_view mountinfo);
/// This process's own.
std::optional<std::string> own_container_id();

/// "host:<pid>:<start time>": this process among those of this machine.
std::string host_process_tag();
/// Whether the process of such a tag still runs. True for any other text.
bool host_process_alive(const std::string& tag);

}  // namespace hg::docker
