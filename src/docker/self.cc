#include "docker/self.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>

namespace hg::docker {

namespace {

constexpr size_t kIdDigits = 64;
constexpr std::string_view kHostTag = "host:";

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Field 22 of /proc/<pid>/stat, in clock ticks since boot (proc(5)); empty: no such process.
std::string start_time(const std::string& pid) {
  const std::string stat = read_all("/proc/" + pid + "/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number)
    if (!(fields >> field)) return {};
  return field;
}

}  // namespace

std::optional<std::string> container_id_of(std::string_view mountinfo) {
  constexpr std::string_view kFolder = "/containers/";
  for (size_t at = mountinfo.find(kFolder); at != std::string_view::npos; at = mountinfo.find(kFolder, at + 1)) {
    const std::string_view rest = mountinfo.substr(at + kFolder.size());
    if (rest.size() <= kIdDigits || rest[kIdDigits] != '/') continue;
    const std::string_view id = rest.substr(0, kIdDigits);
    const std::string_view file = rest.substr(kIdDigits + 1, rest.find_first_of(" \n", kIdDigits) - kIdDigits - 1);
    const bool mounted_by_engine = file == "hostname" || file == "resolv.conf" || file == "hosts";
    if (mounted_by_engine && id.find_first_not_of("0123456789abcdef") == std::string_view::npos) return std::string(id);
  }
  return std::nullopt;
}

std::optional<std::string> own_container_id() { return container_id_of(read_all("/proc/self/mountinfo")); }

std::string host_process_tag() { return fmt::format("{}{}:{}", kHostTag, ::getpid(), start_time("self")); }

bool host_process_alive(const std::string& tag) {
  if (!tag.starts_with(kHostTag)) return true;
  const size_t colon = tag.find(':', kHostTag.size());
  if (colon == std::string::npos) return false;
  const std::string pid = tag.substr(kHostTag.size(), colon - kHostTag.size());
  if (pid.empty() || pid.find_first_not_of("0123456789") != std::string::npos) return false;
  return start_time(pid) == tag.substr(colon + 1);
}

}  // namespace hg::docker
