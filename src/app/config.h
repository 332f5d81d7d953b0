// What the program was asked to do: raw option texts (command line and environment) checked and turned
// into a Config, before anything starts. Every refusal is one line that names the option, the value and
// what is accepted; a secret is never part of it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/service_manager.h"
#include "base/expected.h"
#include "base/ids.h"
#include "io/socket_address.h"
#include "tunnel/limits.h"

namespace hg::app {

/// Texts as given. An option given without a value has an entry with an empty text.
struct RawOptions {
  std::string verb;  // new, provider, gateway, scan, dht, demo, check, doctor, status; empty: flags decide
  std::map<std::string, std::vector<std::string>> values;  // by flag name without dashes, e.g. "listen"
  std::set<std::string> from_environment;                  // of those, whose value is a variable's

  bool has(const std::string& name) const { return values.contains(name); }
  bool typed(const std::string& name) const { return has(name) && !from_environment.contains(name); }
  /// As whoever gave it wrote it: "--router" or "HYPERGATE_ROUTER".
  std::string written(const std::string& name) const;
  /// The last value given, or empty.
  std::string last(const std::string& name) const;
};

enum class Command { kHelp, kVersion, kNew, kRun, kScan, kDht, kDemo, kCheck, kDoctor, kStatus };
enum class LogFormat { kText, kJson };

/// Docker mode (`--docker`).
struct DockerOptions {
  std::string socket;   // path of the engine's Unix socket
  std::string network;  // empty: hypergate-<router name, shortened>
  std::string image;    // of helper gateways; empty: our own container's, else "hypergate"
  Duration refresh = 20s;
};

/// The ingress policy and the program's own HTTP endpoints.
struct EndpointOptions {
  std::vector<std::string> ingress_policies;  // JSON, paths or URLs
  std::optional<io::SocketAddress> resolver;
  std::string resolver_auth;  // "user:password"; empty: none
  std::optional<io::SocketAddress> unlimited;
  std::string unlimited_secret;
  std::optional<io::SocketAddress> metrics;  // where they are served; status: asked for
};

struct Config {
  Command command = Command::kHelp;

  std::optional<Seed> router;            // the secret
  std::optional<PublicKey> router_name;  // scan: given directly or derived from the secret
  bool provider = false;
  bool gateway = false;
  std::vector<std::string> services;  // JSON, paths or URLs
  std::vector<std::string> filters;   // likewise
  Duration url_interval = 60s;        // between two questions for one of these URLs, or an ingress policy's
  io::SocketAddress listen;           // port unused
  bool expose_only_published = false;
  bool expose_only_docker = false;
  std::vector<std::string> expose_only_services;
  std::optional<DockerOptions> docker;
  EndpointOptions endpoints;

  std::vector<std::string> bootstrap;     // "host:port" or "ip@host:port"; empty: the public network's
  std::optional<uint16_t> dht_port;       // 0: any; not given: 49737, or (members) another free one
  std::string dht_host;                   // dht: address to bind
  bool relay = true;                      // for other members of the router
  uint64_t relay_bandwidth = 20'000'000;  // bits a second, over all that is relayed
  LogFormat log_format = LogFormat::kText;
  bool verbose = false;
  bool json = false;                     // scan, doctor, status
  bool probe = false;                    // doctor
  std::vector<std::string> check_files;  // check
  ManagerOptions manager;
  tunnel::Limits limits;
};

/// The error's message is the line to print; its code is "USAGE".
Expected<Config> make_config(const RawOptions& raw);

/// Of a provider that has none, now and ever.
Error no_services();

/// Long and of hexadecimal digits only, as router secrets are, mistyped ones too: not to be shown.
bool looks_secret(std::string_view text);
/// For a message: in quotes, or not at all where it may be a secret.
std::string shown(const std::string& value);
/// "routerFile" -> "HYPERGATE_ROUTER_FILE"
std::string variable_name(const std::string& option);
/// 64 hexadecimal digits.
Expected<Seed> parse_router_secret(const std::string& option, const std::string& text);
/// "host:port" or "ip@host:port".
Expected<std::string> parse_bootstrap_entry(const std::string& text);

}  // namespace hg::app
