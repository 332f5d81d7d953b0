// The advRoutes message: what a provider offers, as JSON beside the features it has.
//
//   {"routes": [{"serviceHost", "servicePort", "protocol": 0|1, "gatePort", "tags"?, "early"?, "routes": [], "ingressPolicy"?}, …],
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
/// Datagrams that fit a packet travel beside the stream: one that is lost holds no other up.
inline constexpr std::string_view kFeatureUnorderedDatagrams = "udp-unordered";

/// The session's connection may go on over another path. A gateway that heard it from a provider says so itself, in an advertisement
/// without routes.
inline constexpr std::string_view kFeatureMove = "move";
/// Filler is answered with filler (Action::kProbe).
inline constexpr std::string_view kFeatureProbe = "probe";

/// Up to kEarlyBytes of a channel's data may follow its open request at once. They count into the window that the confirmation grants, and
/// a service hears nothing of them unless the request is confirmed. Not for routes that say `"early": false`.
inline constexpr std::string_view kFeatureEarly = "early";

struct Features {
  bool flow = false;
  bool big_datagrams = false;
  bool unordered_datagrams = false;
  bool move = false;
  bool probe = false;
  bool early = false;
  bool operator==(const Features&) const = default;
};

/// What our providers can do.
inline constexpr Features kProviderFeatures{
    .flow = true, .big_datagrams = true, .unordered_datagrams = true, .move = true, .probe = true, .early = true};

struct Advertisement {
  std::vector<Service> routes;
  Features features;
  size_t skipped = 0;              // entries that did not fit (port, host length, policy that cannot be read, more than kMaxServices)
  std::string why_skipped;         // the first of them
  std::optional<PublicKey> relay;  // the key under which the sender relays
};

/// The message's body. With `features` all false the key is left out.
std::string encode_advertisement(std::span<const Service> services, const Features& features, const std::optional<PublicKey>& relay = {});

struct FittedAdvertisement {
  std::string body;
  size_t left_out = 0;  // services, from the first that did not fit
};
/// The same with `common_policy` (JSON, empty: none) behind each service's own, whose rules come first and win. A message that peers would
/// not take is not made: services are left out from where it would exceed `most` bytes.
FittedAdvertisement fit_advertisement(std::span<const Service> services, const std::string& common_policy, const Features& features,
                                      const std::optional<PublicKey>& relay = {}, size_t most = kMaxMessage - kMessageHeaderBytes);
/// Error when it is no JSON object with a "routes" array.
Expected<Advertisement> decode_advertisement(std::string_view json);

}  // namespace hg::tunnel
