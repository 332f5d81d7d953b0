// The advRoutes message: what a provider offers, as JSON beside the features it has.
//
//   {"routes": [{"serviceHost", "servicePort", "protocol": 0|1, "gatePort", "tags"?, "routes": [], "ingressPolicy"?}, …],
//    "features": ["flow", …], "relay"?: "<64 hexadecimal digits>"}
//
// A member that relays names its relay key; one that offers nothing sends an empty list beside it. Unknown keys are ignored both ways,
// so TypeScript peers pass over "features" and "relay".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"
#include "tunnel/service.h"

namespace hg::tunnel {

/// Credit per channel (Action::kCredit), asked for in the open message.
inline constexpr std::string_view kFeatureFlow = "flow";
/// Datagrams of up to kMaxUdpPayload bytes in one stream message.
inline constexpr std::string_view kFeatureBigDatagrams = "udp65507";

struct Features {
  bool flow = false;
  bool big_datagrams = false;
  bool operator==(const Features&) const = default;
};

struct Advertisement {
  std::vector<Service> routes;
  Features features;
  size_t skipped = 0;  // entries that did not fit (port, host length, policy that cannot be read, more than kMaxServices)
  std::optional<PublicKey> relay;  // the key under which the sender relays
};

/// The message's body. With `features` all false the key is left out.
std::string encode_advertisement(std::span<const Service> services, const Features& features, const std::optional<PublicKey>& relay = {});
/// Error when it is no JSON object with a "routes" array.
Expected<Advertisement> decode_advertisement(std::string_view json);

}  // namespace hg::tunnel
