#include "app/config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <sstream>

#include "app/limit_options.h"
#include "app/option_scope.h"
#include "base/endpoint.h"
#include "crypto/crypto.h"
#include "docker/engine.h"

namespace hg::app {

namespace {

constexpr size_t kKeyHexDigits = 64;
constexpr size_t kMaxRouterFile = 4096;                      // bytes
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // some editors begin UTF-8 with it
constexpr size_t kLeastSecretDigits = 32;                    // half a router secret

Error usage(std::string message) { return {"USAGE", std::move(message)}; }

std::string trimmed(std::string text) {
  const char* blanks = " \t\r\n";
  text.erase(0, text.find_first_not_of(blanks));
  text.erase(text.find_last_not_of(blanks) + 1);
  return text;
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    part = trimmed(part);
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

template <class T>
std::optional<T> parse_number(const std::string& text) {
  T value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// "10mbit", "500 kbit", "1gbit"; a bare number is Mbit, as in an ingress policy. Bits a second.
std::optional<uint64_t> parse_rate(const std::string& text) {
  constexpr std::pair<std::string_view, uint64_t> kUnits[] = {
      {"kbit", 1'000}, {"mbit", 1'000'000}, {"gbit", 1'000'000'000}, {"", 1'000'000}};
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_number<uint32_t>(text.substr(0, digits));
  std::string unit = trimmed(text.substr(digits));
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const auto& [name, factor] : kUnits)
    if (number && unit == name) return *number * factor;
  return std::nullopt;
}

Expected<uint16_t> parse_port(const std::string& option, const std::string& text, bool zero_allowed) {
  const auto port = parse_number<uint16_t>(text);
  if (!port || (*port == 0 && !zero_allowed))
    return usage(option + ": " + shown(text) + " is not a port; give a whole number from " + (zero_allowed ? "0 (any)" : "1") +
                 " to 65535");
  return *port;
}

Expected<bool> parse_switch(const std::string& option, const RawOptions& raw, bool fallback) {
  if (!raw.has(option)) return fallback;
  std::string text = raw.last(option);
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (text.empty() || text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  return usage("--" + option + ": " + shown(raw.last(option)) + " is not a switch; give true or false, or nothing");
}

Expected<std::string> read_router_file(const std::string& option, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return usage(option + ": cannot read " + shown(path) + "; give a readable file that holds the 64 digits of the router secret");
  std::string text(kMaxRouterFile, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad())
    return usage(option + ": cannot read " + shown(path) + " (a directory?); give a file that holds the 64 digits of the router secret");
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return trimmed(text);
}

// "host:port" with a host that could be a name or a dotted quad.
bool plausible_host_port(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  const std::string host = text.substr(0, colon);
  const auto port = parse_number<uint16_t>(text.substr(colon + 1));
  const bool name = host.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == std::string::npos;
  const bool numeric = host.find_first_not_of("0123456789.") == std::string::npos;
  return port && *port > 0 && name && (!numeric || parse_ipv4(host).has_value());
}

constexpr Duration kShortestRefresh = 250ms;  // of the Docker Engine
constexpr uint64_t kMaxLimit = 1ull << 40;    // a terabyte, or 34 years of milliseconds

constexpr uint64_t kLeastRelayBandwidth = 128'000;  // bits a second; less would not carry a keyboard

constexpr uint16_t kResolverPort = 8080;  // the brief's defaults
constexpr uint16_t kUnlimitedPort = 8091;
constexpr const char* kUsualMetrics = "127.0.0.1:9090";  // as README has it
constexpr size_t kMaxUnlimitedSecret = 1024;

// Each step fills one part of the Config; the first fault ends the chain.
class Builder {
 public:
  explicit Builder(const RawOptions& raw) : raw_(raw) {}

  Expected<Config> build() {
    for (auto step : {&Builder::choose_command, &Builder::read_router, &Builder::read_roles, &Builder::leave_to_others,
                      &Builder::read_listen, &Builder::read_docker, &Builder::read_exposure, &Builder::read_dht, &Builder::read_log,
                      &Builder::read_limits, &Builder::read_resolver, &Builder::read_unlimited, &Builder::read_metrics,
                      &Builder::read_policies, &Builder::read_relay, &Builder::check_services}) {
      const Expected<void> result = (this->*step)();
      if (!result) return result.error();
    }
    return std::move(config_);
  }

 private:
  Expected<void> choose_command() {
    if (raw_.verb == "help" || raw_.has("help"))
      config_.command = Command::kHelp;
    else if (raw_.verb == "version" || raw_.has("version"))
      config_.command = Command::kVersion;
    else if (raw_.verb == "new" || raw_.has("new"))
      config_.command = Command::kNew;
    else if (raw_.verb == "scan" || raw_.has("scan"))
      config_.command = Command::kScan;
    else if (raw_.verb == "dht")
      config_.command = Command::kDht;
    else if (raw_.verb == "demo")
      config_.command = Command::kDemo;
    else if (raw_.verb == "doctor")
      config_.command = Command::kDoctor;
    else if (raw_.verb == "status")
      config_.command = Command::kStatus;
    else if (raw_.verb == "check")
      return choose_check();
    else if (raw_.verb == "provider" || raw_.verb == "gateway" || raw_.has("provider") || raw_.has("gateway"))
      config_.command = Command::kRun;
    else if (raw_.values.empty())
      config_.command = Command::kHelp;
    else
      return usage(
          "nothing to do: give --provider, --gateway or both (or: hypergate new | scan | doctor | status | dht | demo); see hypergate "
          "--help");
    return {};
  }

  Expected<void> choose_check() {
    config_.command = Command::kCheck;
    if (raw_.has("check")) config_.check_files = raw_.values.at("check");
    if (config_.check_files.empty())
      return usage("check: no files; give services, filters or ingress policies, e.g. hypergate check services.json");
    return {};
  }

  Expected<void> read_router() {
    if (config_.command == Command::kScan) return read_scan_name();
    const bool given = raw_.has("router") || raw_.has("routerFile");
    if (config_.command != Command::kRun && (config_.command != Command::kDoctor || !given)) return {};
    if (!given)
      return usage(
          "--router is missing: give the 64 digits of the router secret, or --routerFile FILE (make a secret with: hypergate new)");
    const auto text = router_text();
    if (!text) return text.error();
    auto secret = parse_router_secret(raw_.written(raw_.has("routerFile") ? "routerFile" : "router"), *text);
    if (!secret) return secret.error();
    config_.router = *secret;
    return {};
  }

  /// As --router or --routerFile says; empty without either.
  Expected<std::string> router_text() const {
    if (!raw_.has("routerFile")) return raw_.last("router");
    const std::string option = raw_.written("routerFile");
    if (raw_.has("router")) return usage(raw_.written("router") + " and " + option + ": both are given; give one of them");
    return read_router_file(option, raw_.last("routerFile"));
  }

  Expected<void> read_scan_name() {
    const auto text = raw_.last("scan").empty() ? router_text() : raw_.last("scan");
    if (!text) return text.error();
    if (text->empty()) return usage("scan: give the router name (public key) or the router secret, 64 hexadecimal digits");
    auto key = parse_router_secret("scan", *text);
    if (!key) return key.error();
    config_.router = *key;  // a name and a secret look alike: scan tries both
    config_.router_name = *key;
    return {};
  }

  Expected<void> read_roles() {
    config_.provider = raw_.verb == "provider" || raw_.has("provider");
    config_.gateway = raw_.verb == "gateway" || raw_.has("gateway");
    auto collect = [this](const char* option, std::vector<std::string>& into) {
      if (!raw_.has(option)) return;
      for (const std::string& value : raw_.values.at(option))
        if (!value.empty() && value != "true") into.push_back(value);
    };
    collect("provider", config_.services);
    collect("gateway", config_.filters);
    return {};
  }

  Expected<void> leave_to_others() {
    std::vector<const char*> limits;
    for (const LimitOption& limit : limit_options()) limits.push_back(limit.flag);
    return app::leave_to_others(raw_, config_.command, config_.provider, config_.gateway, limits);
  }

  Expected<void> read_listen() {
    const std::string text = raw_.has("listen") ? raw_.last("listen") : "127.0.0.1";
    const auto address = io::SocketAddress::parse(text, 0);
    if (!address) return usage("--listen: " + shown(text) + " is not an IP address; give one such as 127.0.0.1, 0.0.0.0, ::1 or ::");
    config_.listen = *address;
    return {};
  }

  Expected<void> read_docker() {
    const std::string given = raw_.last("docker");
    if (!raw_.has("docker") || given == "false") return {};
    DockerOptions docker;
    constexpr std::string_view kScheme = "unix://";
    docker.socket = given.empty() || given == "true" ? docker::kDefaultSocket
                    : given.starts_with(kScheme)     ? given.substr(kScheme.size())
                                                     : given;
    if (!docker.socket.starts_with('/') || !io::SocketAddress::unix_path(docker.socket))
      return usage("--docker: " + shown(given) + " is not a Unix socket; give its absolute path, such as /var/run/docker.sock, or nothing");
    for (const auto& [flag, field] : {std::pair("network", &DockerOptions::network), std::pair("image", &DockerOptions::image)}) {
      if (!raw_.has(flag)) continue;
      docker.*field = trimmed(raw_.last(flag));
      if ((docker.*field).empty()) return usage(std::string("--") + flag + ": the name is empty");
    }
    if (raw_.has("refreshTime")) {
      const auto value = parse_number<uint64_t>(raw_.last("refreshTime"));
      if (!value || *value == 0 || *value > kMaxLimit)
        return usage("--refreshTime: " + shown(raw_.last("refreshTime")) +
                     " is not a time; give whole milliseconds above 0, such as 20000");
      docker.refresh = std::max<Duration>(std::chrono::milliseconds(*value), kShortestRefresh);
    }
    config_.docker = std::move(docker);
    return {};
  }

  Expected<void> read_exposure() {
    const auto published = parse_switch("exposeOnlyPublished", raw_, false);
    if (!published) return published.error();
    const auto docker = parse_switch("exposeOnlyDocker", raw_, config_.docker.has_value());
    if (!docker) return docker.error();
    config_.expose_only_published = *published;
    config_.expose_only_docker = *docker;
    if (raw_.has("exposeOnlyServices")) {
      for (const std::string& value : raw_.values.at("exposeOnlyServices"))
        for (std::string& name : split_list(value)) config_.expose_only_services.push_back(std::move(name));
      if (config_.expose_only_services.empty())
        return usage("--exposeOnlyServices: the list is empty; give service hosts such as db.hyper,web.hyper");
    }
    return {};
  }

  Expected<void> read_dht() {
    if (raw_.has("bootstrap")) {
      for (const std::string& value : raw_.values.at("bootstrap"))
        for (const std::string& part : split_list(value)) {
          auto entry = parse_bootstrap_entry(part);
          if (!entry) return entry.error();
          config_.bootstrap.push_back(std::move(*entry));
        }
      const bool first_node = config_.command == Command::kDht;
      if (config_.bootstrap.empty() && !first_node) return usage("--bootstrap: the list is empty; give HOST:PORT[,HOST:PORT…]");
    }
    const bool dht = config_.command == Command::kDht;
    const char* port_option = dht && raw_.has("port") ? "port" : "dhtPort";
    if (raw_.has(port_option)) {
      const auto port = parse_port(std::string("--") + port_option, raw_.last(port_option), true);
      if (!port) return port.error();
      config_.dht_port = *port;
    }
    if (raw_.has("host")) {
      config_.dht_host = raw_.last("host");
      if (!parse_ipv4(config_.dht_host))
        return usage("--host: " + shown(config_.dht_host) + " is not an IPv4 address of this machine, such as 192.0.2.10");
    }
    return {};
  }

  Expected<void> read_relay() {
    const auto refused = parse_switch("noRelay", raw_, false);
    if (!refused) return refused.error();
    config_.relay = !*refused;
    if (!raw_.has("relayBandwidth")) return {};
    const auto rate = parse_rate(raw_.last("relayBandwidth"));
    if (!rate || *rate < kLeastRelayBandwidth)
      return usage("--relayBandwidth: " + shown(raw_.last("relayBandwidth")) +
                   " is not a rate; give at least 128kbit, such as 10mbit (or --noRelay)");
    config_.relay_bandwidth = *rate;
    return {};
  }

  Expected<void> read_log() {
    const std::string format = raw_.has("log") ? raw_.last("log") : "text";
    if (format != "text" && format != "json") return usage("--log: " + shown(format) + " is not a log format; give text or json");
    config_.log_format = format == "json" ? LogFormat::kJson : LogFormat::kText;
    const auto verbose = parse_switch("verbose", raw_, false);
    if (!verbose) return verbose.error();
    config_.verbose = *verbose;
    config_.json = raw_.has("json");
    config_.probe = raw_.has("probe");
    if (config_.probe && (config_.command != Command::kDoctor || !config_.router))
      return usage("--probe: measures the providers of a router; use it as: hypergate doctor --router SECRET --probe");
    return {};
  }

  Expected<void> read_limits() {
    for (const LimitOption& limit : limit_options()) {
      if (!raw_.has(limit.flag)) continue;
      const auto value = parse_number<uint64_t>(raw_.last(limit.flag));
      if (!value || *value == 0 || *value > kMaxLimit)
        return usage(std::string("--") + limit.flag + ": " + shown(raw_.last(limit.flag)) + " is not a limit; give a whole number above 0");
      limit.set(config_.limits, *value);
    }
    if (config_.limits.find_route_retry_min > config_.limits.find_route_retry_max)
      return usage("--findRouteRetryMinMs: larger than --findRouteRetryMaxMs; give a smaller one");
    return {};
  }

  /// The address an endpoint listens on, from its two options.
  Expected<io::SocketAddress> read_address(const std::string& host_option, const std::string& port_option, uint16_t port) {
    const std::string host = raw_.has(host_option) ? raw_.last(host_option) : "127.0.0.1";
    if (raw_.has(port_option)) {
      const auto given = parse_port("--" + port_option, raw_.last(port_option), false);
      if (!given) return given.error();
      port = *given;
    }
    const auto address = io::SocketAddress::parse(host, port);
    if (!address) return usage("--" + host_option + ": " + shown(host) + " is not an IP address; give one such as 127.0.0.1 or ::1");
    return *address;
  }

  Expected<void> read_resolver() {
    if (!raw_.has("fingerprintResolverHost") && !raw_.has("fingerprintResolverPort") && !raw_.has("fingerprintResolverBasicAuth"))
      return {};
    auto address = read_address("fingerprintResolverHost", "fingerprintResolverPort", kResolverPort);
    if (!address) return address.error();
    config_.endpoints.resolver = *address;
    if (!raw_.has("fingerprintResolverBasicAuth")) return {};
    config_.endpoints.resolver_auth = raw_.last("fingerprintResolverBasicAuth");
    const size_t colon = config_.endpoints.resolver_auth.find(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == config_.endpoints.resolver_auth.size())
      return usage("--fingerprintResolverBasicAuth: the value (not shown) is not USER:PASS; give both, separated by a colon");
    return {};
  }

  Expected<void> read_unlimited() {
    if (!raw_.has("unlimitedSecret")) {
      for (const char* flag : {"unlimitedHost", "unlimitedPort", "unlimitedPublic"})
        if (raw_.typed(flag)) return usage(std::string("--") + flag + ": needs a secret; add --unlimitedSecret");
      return {};
    }
    config_.endpoints.unlimited_secret = raw_.last("unlimitedSecret");
    if (config_.endpoints.unlimited_secret.empty() || config_.endpoints.unlimited_secret.size() > kMaxUnlimitedSecret)
      return usage("--unlimitedSecret: give a secret of 1 to 1024 characters");
    auto address = read_address("unlimitedHost", "unlimitedPort", kUnlimitedPort);
    if (!address) return address.error();
    const auto open_to_all = parse_switch("unlimitedPublic", raw_, false);
    if (!open_to_all) return open_to_all.error();
    const std::string host = address->canonical_host();
    if (!*open_to_all && !host.starts_with("127.") && host != "::1")
      return usage("--unlimitedHost: " + shown(host) +
                   " can be reached from other machines; add --unlimitedPublic if that is meant, or give 127.0.0.1");
    config_.endpoints.unlimited = *address;
    return {};
  }

  Expected<void> read_metrics() {
    const bool asks = config_.command == Command::kStatus;
    if (!raw_.has("metrics") && !asks) return {};
    const std::string text = raw_.has("metrics") ? raw_.last("metrics") : kUsualMetrics;
    const size_t colon = text.rfind(':');
    const auto port = colon == std::string::npos ? std::nullopt : parse_number<uint16_t>(text.substr(colon + 1));
    const auto address = port && *port > 0 ? io::SocketAddress::parse(text.substr(0, colon), *port) : std::nullopt;
    const std::string option = asks && raw_.typed("metrics") ? "status" : "--metrics";
    if (!address) return usage(option + ": " + shown(text) + " is not IP:PORT; give e.g. 127.0.0.1:9090 or [::1]:9090");
    config_.endpoints.metrics = *address;
    return {};
  }

  Expected<void> read_policies() {
    if (raw_.has("ingressPolicy"))
      for (const std::string& value : raw_.values.at("ingressPolicy")) {
        if (trimmed(value).empty()) return usage("--ingressPolicy: give JSON, a file or an http(s) URL");
        config_.endpoints.ingress_policies.push_back(value);
      }
    if (!raw_.has("ingressPolicyIntervalMs")) return {};
    const auto interval = parse_number<uint64_t>(raw_.last("ingressPolicyIntervalMs"));
    if (!interval || *interval < 1000 || *interval > kMaxLimit)
      return usage("--ingressPolicyIntervalMs: " + shown(raw_.last("ingressPolicyIntervalMs")) +
                   " is not an interval; give at least 1000 (a second)");
    config_.url_interval = std::chrono::milliseconds(*interval);
    return {};
  }

  Expected<void> check_services() {
    if (config_.command != Command::kRun) return {};
    if (config_.provider && config_.services.empty() && !config_.docker) return no_services();
    return {};
  }

  RawOptions raw_;
  Config config_;
};

}  // namespace

std::string RawOptions::last(const std::string& name) const {
  const auto found = values.find(name);
  return found == values.end() || found->second.empty() ? std::string() : found->second.back();
}

std::string RawOptions::written(const std::string& name) const {
  return from_environment.contains(name) ? variable_name(name) : "--" + name;
}

Error no_services() {
  return usage("--provider: no services; give some, e.g. --provider 8080=80 or --provider services.json, or --docker");
}

bool looks_secret(std::string_view text) {
  return text.size() >= kLeastSecretDigits && text.find_first_not_of("0123456789abcdefABCDEF") == text.npos;
}

std::string shown(const std::string& value) { return looks_secret(value) ? "the value (not shown)" : "'" + value + "'"; }

std::string variable_name(const std::string& option) {
  std::string out = "HYPERGATE_";
  for (char c : option) {
    if (std::isupper(static_cast<unsigned char>(c))) out.push_back('_');
    out.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  }
  return out;
}

Expected<Seed> parse_router_secret(const std::string& option, const std::string& text) {
  Seed seed;
  if (from_hex(text, seed)) return seed;
  const std::string what = text.size() == kKeyHexDigits ? "holds a character that is no hexadecimal digit"
                                                        : "has " + std::to_string(text.size()) + " characters";
  return usage(option + ": the value (not shown) " + what + "; give exactly 64 hexadecimal digits (make a secret with: hypergate new)");
}

Expected<std::string> parse_bootstrap_entry(const std::string& text) {
  const size_t at = text.find('@');
  const bool good =
      at == std::string::npos ? plausible_host_port(text) : parse_ipv4(text.substr(0, at)) && plausible_host_port(text.substr(at + 1));
  if (!good) return usage("--bootstrap: " + shown(text) + " is not HOST:PORT; give e.g. 192.0.2.1:49737 or dht.example.org:49737");
  return text;
}

Expected<Config> make_config(const RawOptions& raw) { return Builder(raw).build(); }

}  // namespace hg::app
