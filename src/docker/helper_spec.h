// What a helper gateway container is made of: its name, its settings, its files. Pure functions.
//
// The secret travels as a file into the created container, never in a name, a label, an argument or the environment. So does the filter,
// which may change while the helper runs.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/expected.h"
#include "tunnel/gate_filter.h"

namespace hg::docker {

inline constexpr const char* kLabelHelperHost = "hypergate.host";
/// Who made it: a container id, or a process of the host (self.h).
inline constexpr const char* kLabelHelperOwner = "hypergate.owner";
inline constexpr const char* kSecretPath = "run/hypergate/router";
inline constexpr const char* kFilterPath = "run/hypergate/filter.json";

struct HelperSpec {
  std::string host;
  std::string router;  // short router name
  std::string network;
  std::string image;
  std::string owner;
  std::vector<std::pair<std::string, std::string>> environment;  // beside what every helper gets
  std::vector<tunnel::GateMatch> filter;                         // of the gateway itself
};

/// "<host>-hypergate-gateway-<router>".
std::string helper_name(std::string_view host, std::string_view router);

/// Whether containers can look `host` up as a name: letters, digits, '-', '_', '.', no number-only last label (an address), not
/// "localhost".
bool helper_possible(std::string_view host);

/// The body of `POST /containers/create`.
std::string helper_settings(const HelperSpec& spec);

/// The tar to put at "/": the secret, mode 0400, readable for the helper's user alone, and the filter.
std::string helper_archive(std::string_view secret, std::string_view filter);

/// Whether routes of `host` may pass.
bool filter_concerns(const std::vector<tunnel::GateMatch>& filter, std::string_view host);

/// The filter of a helper: the gateway's own narrowed to one host that it concerns, as `--gateway` takes it.
std::string helper_filter(const std::vector<tunnel::GateMatch>& filter, std::string_view host);

}  // namespace hg::docker
