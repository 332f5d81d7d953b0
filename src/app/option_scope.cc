#include "app/option_scope.h"

namespace hg::app {

namespace {

struct Group {
  bool ours;
  const char* refusal;
  std::vector<const char*> flags;
};

Expected<void> leave(RawOptions& raw, const std::vector<Group>& groups) {
  for (const Group& group : groups)
    for (const char* flag : group.flags) {
      if (group.ours || !raw.has(flag)) continue;
      if (raw.typed(flag)) return Error{"USAGE", std::string("--") + flag + ": " + group.refusal};
      raw.values.erase(flag);
    }
  return {};
}

const std::vector<const char*> kGatewayFlags = {"listen",        "exposeOnlyServices", "exposeOnlyPublished", "unlimitedSecret",
                                                "unlimitedHost", "unlimitedPort",      "unlimitedPublic"};
const std::vector<const char*> kProviderFlags = {"ingressPolicy", "fingerprintResolverHost", "fingerprintResolverPort",
                                                 "fingerprintResolverBasicAuth"};
const std::vector<const char*> kDockerFlags = {"network", "image", "refreshTime"};
const std::vector<const char*> kMemberFlags = {
    "provider", "gateway", "docker", "exposeOnlyDocker", "noRelay", "relayBandwidth", "ingressPolicyIntervalMs"};

}  // namespace

Expected<void> leave_to_others(RawOptions& raw, Command command, bool provider, bool gateway, const std::vector<const char*>& limits) {
  if (command == Command::kHelp || command == Command::kVersion) return {};
  const bool run = command == Command::kRun;
  const bool look = command == Command::kScan || command == Command::kDoctor;
  const bool status = command == Command::kStatus;
  const bool dht = command == Command::kDht;
  const bool docker = raw.has("docker") && raw.last("docker") != "false";
  constexpr const char* kForMembers = "is for providers and gateways; leave it out here";
  if (!run)
    for (const auto& flags : {kGatewayFlags, kProviderFlags, kDockerFlags, kMemberFlags})
      if (auto left = leave(raw, {{false, kForMembers, flags}}); !left) return left;
  constexpr const char* kForGateways = "belongs to a gateway; add --gateway";
  return leave(raw, {{gateway, kForGateways, kGatewayFlags},
                     {gateway || docker, kForGateways, {"exposeOnlyDocker"}},  // one command line for both roles of Docker mode
                     {provider, "belongs to a provider; add --provider", kProviderFlags},
                     {docker, "belongs to Docker mode; add --docker", kDockerFlags},
                     {run || look, "is for members of a router; leave it out here", {"router", "routerFile"}},
                     {run || look, "is for members of a router; leave it out here", limits},
                     {run || look || dht, "is for who takes part in the DHT; leave it out here", {"bootstrap", "dhtPort"}},
                     {run || status, kForMembers, {"metrics"}},
                     {look || status, "is for scan, doctor and status; leave it out here", {"json"}},
                     {dht, "is for the verb dht (others: --dhtPort); leave it out here", {"port"}},
                     {dht, "is for the verb dht; leave it out here", {"host"}}});
}

}  // namespace hg::app
