#include "cli/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstring>

#include "http/fetch.h"

namespace hg::cli {

namespace {

enum class Takes { kNothing, kMaybe, kValue, kList };

struct Flag {
  const char* name;
  Takes takes;
  const char* value;  // how help calls it
  const char* help;
  const char* group;
};

constexpr const char* kMain = "Main";
constexpr const char* kGateway = "Gateway";
constexpr const char* kDocker = "Docker";
constexpr const char* kNetwork = "Network";
constexpr const char* kOutput = "Output";
constexpr const char* kLimit = "Limits (numbers; times in milliseconds)";
constexpr const char* kProvider = "Provider";

constexpr Flag kFlags[] = {
    {"help", Takes::kNothing, "", "Print this help", kMain},
    {"version", Takes::kNothing, "", "Print the version", kMain},
    {"new", Takes::kNothing, "", "Print a new router secret", kMain},
    {"router", Takes::kValue, "SECRET", "Router secret, 64 hexadecimal digits", kMain},
    {"routerFile", Takes::kValue, "FILE", "File that holds the router secret (keeps it out of the process list)", kMain},
    {"provider", Takes::kMaybe, "SERVICES",
     "Provide services: PORT, GATE=PORT, HOST:PORT, GATE=HOST:PORT/udp, or a JSON file, text or URL (repeatable)", kMain},
    {"gateway", Takes::kMaybe, "FILTER", "Open gates; FILTER (JSON, file or URL) limits which (repeatable)", kMain},
    {"scan", Takes::kMaybe, "NAME", "List who is on a router, by its name or secret", kMain},
    {"ingressPolicyIntervalMs", Takes::kValue, "MS", "How often URLs of services, filters and policies are asked for changes (60000)",
     kMain},
    {"listen", Takes::kValue, "IP", "Address the gates listen on (default 127.0.0.1)", kGateway},
    {"exposeOnlyServices", Takes::kList, "HOSTS", "Open gates for these service hosts only (comma-separated)", kGateway},
    {"exposeOnlyPublished", Takes::kMaybe, "BOOL", "Open gates for published services only", kGateway},
    {"exposeOnlyDocker", Takes::kMaybe, "BOOL", "Open gates for services found by Docker only (default with --docker)", kGateway},
    {"unlimitedSecret", Takes::kValue, "SECRET", "Serve /unlimited: who has this secret lifts the limits of its own address for 30 minutes",
     kGateway},
    {"unlimitedHost", Takes::kValue, "IP", "Address of /unlimited (127.0.0.1)", kGateway},
    {"unlimitedPort", Takes::kValue, "PORT", "Port of /unlimited (8091)", kGateway},
    {"unlimitedPublic", Takes::kMaybe, "BOOL", "Let /unlimited listen where other machines reach it", kGateway},
    {"ingressPolicy", Takes::kList, "POLICY", "Whom gateways let in, how fast, with which labels: JSON, file or URL (repeatable, merged)",
     kProvider},
    {"fingerprintResolverHost", Takes::kValue, "IP", "Address of the fingerprint resolver (127.0.0.1)", kProvider},
    {"fingerprintResolverPort", Takes::kValue, "PORT", "Its port (8080); on when any of the three is given", kProvider},
    {"fingerprintResolverBasicAuth", Takes::kValue, "USER:PASS", "Its password", kProvider},
    {"docker", Takes::kMaybe, "SOCKET",
     "Provide what containers offer; give remote services names on the Docker network (/var/run/docker.sock)", kDocker},
    {"network", Takes::kValue, "NAME", "Docker network (default hypergate-<router>), made if missing", kDocker},
    {"image", Takes::kValue, "NAME", "Image of helper gateways (default: our own container's, else hypergate)", kDocker},
    {"refreshTime", Takes::kValue, "MS", "Interval of full look-ups beside the engine's events (20000)", kDocker},
    {"bootstrap", Takes::kList, "HOST:PORT,…", "DHT nodes to start from (default: the public Hyperswarm network)", kNetwork},
    {"dhtPort", Takes::kValue, "PORT", "UDP port of the DHT node (default: 49737 or another free one)", kNetwork},
    {"port", Takes::kValue, "PORT", "dht: UDP port of the node", kNetwork},
    {"host", Takes::kValue, "IP", "dht: IPv4 address under which others reach the node", kNetwork},
    {"noRelay", Takes::kMaybe, "BOOL", "Do not relay for members that reach each other in no other way", kNetwork},
    {"relayBandwidth", Takes::kValue, "RATE", "Most that is relayed, such as 10mbit (20mbit); one pair gets half", kNetwork},
    {"metrics", Takes::kValue, "IP:PORT", "Serve a status page at /, /metrics (Prometheus), /healthz and /readyz", kOutput},
    {"log", Takes::kValue, "FORMAT", "text or json (default text)", kOutput},
    {"json", Takes::kNothing, "", "scan, doctor, status: print JSON", kOutput},
    {"probe", Takes::kNothing, "", "doctor: measure the throughput to each provider", kOutput},
    {"verbose", Takes::kMaybe, "BOOL", "Log more", kOutput},
    {"maxBufferPerChannel", Takes::kValue, "BYTES", "Received and not yet taken, per channel (8388608)", kLimit},
    {"maxBufferPerPeer", Takes::kValue, "BYTES", "The same, per peer (33554432)", kLimit},
    {"routeFindingTimeoutMs", Takes::kValue, "MS", "Time to find a route for a client (60000)", kLimit},
    {"statsIntervalMs", Takes::kValue, "MS", "Interval of the statistics line (600000)", kLimit},
    {"routeExpirationMs", Takes::kValue, "MS", "Life of a route after its last advertisement (120000)", kLimit},
    {"channelTimeoutPollMs", Takes::kValue, "MS", "Interval of the search for idle channels (60000)", kLimit},
    {"openRequestTimeoutMs", Takes::kValue, "MS", "Time for a provider to open a channel (15000)", kLimit},
    {"findRouteRetryMinMs", Takes::kValue, "MS", "Shortest pause before another route is tried (100)", kLimit},
    {"findRouteRetryMaxMs", Takes::kValue, "MS", "Longest pause before another route is tried (600)", kLimit},
    {"peerStaleMs", Takes::kValue, "MS", "Largest difference of two peers' clocks (900000)", kLimit},
    {"peerRefreshMs", Takes::kValue, "MS", "Interval of advertisements (5000)", kLimit},
    {"peerRefreshWaitMs", Takes::kValue, "MS", "Pause before a refresh that was asked for (100)", kLimit},
    {"tcpSocketTimeoutMs", Takes::kValue, "MS", "Idle TCP channels end after this (never)", kLimit},
    {"udpSocketTimeoutMs", Takes::kValue, "MS", "Idle UDP flows end after this (3600000)", kLimit},
};

constexpr const char* kVerbs[] = {"new", "provider", "gateway", "scan", "dht", "demo", "check", "doctor", "status", "help", "version"};
constexpr size_t kLongestTypo = 16;  // a longer first word is no verb mistyped, but may be a secret

// What is asked of one run. HYPERGATE_PORT is not ours either: Kubernetes sets it in the pods beside a service named hypergate.
constexpr const char* kNoVariable[] = {"help", "version", "new", "scan", "json", "probe", "port", "host"};

// Two ways to say one thing: the variable of one does not count where the other is on the command line.
constexpr std::pair<const char*, const char*> kAlternatives[] = {{"router", "routerFile"}, {"routerFile", "router"}};

bool has_variable(const Flag& flag) {
  return std::none_of(std::begin(kNoVariable), std::end(kNoVariable), [&](const char* name) { return std::strcmp(name, flag.name) == 0; });
}

void add_flags(CLI::App& parser, std::map<std::string, std::vector<std::string>>& values) {
  for (const Flag& flag : kFlags) {
    const bool help = std::strcmp(flag.name, "help") == 0;
    CLI::Option* option = parser.add_option((help ? "-h,--" : "--") + std::string(flag.name), values[flag.name], flag.help);
    option->group(flag.group)->option_text(flag.value)->take_all()->allow_extra_args(false);
    if (flag.takes == Takes::kNothing) option->type_name("")->expected(0);
    if (flag.takes == Takes::kMaybe) option->option_text('[' + std::string(flag.value) + ']')->expected(0, 1);
    // A missing value is an empty text, which is then refused by name like any other wrong value.
    if (flag.takes == Takes::kValue || flag.takes == Takes::kList) option->expected(0, 1);
  }
}

void describe(CLI::App& parser) {
  parser.description(
      "Hypergate: exposes a TCP or UDP service behind any NAT through an encrypted peer-to-peer tunnel.\n\n"
      "  hypergate new                                  make a router secret\n"
      "  hypergate provider SERVICES… --router SECRET   provide services: 8080, 8080=80, or a JSON file\n"
      "  hypergate gateway [FILTER] --router SECRET     open gates for what providers offer\n"
      "  hypergate scan NAME                            list who is on a router\n"
      "  hypergate doctor [--router SECRET]             say what helps or hinders a tunnel here\n"
      "  hypergate status [IP:PORT]                     ask a running provider or gateway how it is\n"
      "  hypergate dht [--port PORT] [--host IP]        run a node of a private network\n"
      "  hypergate check FILE…                          check services, filters and ingress policies\n"
      "  hypergate demo                                 see a tunnel work on this machine\n\n"
      "Every verb can be written as a flag; provider and gateway may run in one process.");
  parser.name("hypergate [new|provider|gateway|scan|doctor|status|dht|demo|check]");
  parser.footer(
      "Environment: options are also read from HYPERGATE_ and their name (--routerFile: HYPERGATE_ROUTER_FILE), but for\n--new, --scan, "
      "--json, "
      "--probe, --port and --host; the command line wins.");
}

bool is_router_secret(const std::string& word) {
  Seed unused;
  return from_hex(word, unused);
}

/// As it was written, without its value.
std::string shown_option(const std::string& word) {
  const std::string option = word.substr(0, word.find('='));
  const std::string name = option.substr(std::min(option.find_first_not_of('-'), option.size()));
  return app::looks_secret(name) ? app::shown(name) : option;
}

/// The first word, where it is neither a verb nor (as the TypeScript program takes it) the router secret.
bool mistyped_verb(const char* word) { return *word != '-' && *word != '\0' && std::strlen(word) <= kLongestTypo; }

Expected<void> place_word(const std::string& word, app::RawOptions& raw) {
  auto& values = raw.values;
  const bool role = raw.verb == "provider" || raw.verb == "gateway" || raw.verb == "doctor";
  if (role && is_router_secret(word) && !values.contains("router"))
    values["router"].push_back(word);
  else if (raw.verb == "provider" || raw.verb == "check" || ((raw.verb == "gateway" || raw.verb == "scan") && !values.contains(raw.verb)))
    values[raw.verb].push_back(word);
  else if (raw.verb == "status" && !values.contains("metrics"))
    values["metrics"].push_back(word);
  else if (raw.verb.empty() && values.contains("scan") && raw.last("scan").empty())
    values["scan"].push_back(word);
  else if (raw.verb.empty() && !values.contains("router"))
    values["router"].push_back(word);
  else
    return Error{"USAGE", app::shown(word) + ": one word too many; see hypergate --help"};
  return {};
}

// Words that are not flags: a verb's own argument, or (as the TypeScript program takes it) the router secret.
Expected<void> place_words(const std::vector<std::string>& words, app::RawOptions& raw) {
  for (const std::string& word : words)
    if (auto placed = place_word(word, raw); !placed) return placed;
  return {};
}

/// A trailing secret that the parser gave to an option before it, which needs no value.
void release_secret(int argc, const char* const* argv, app::RawOptions& raw) {
  if (argc < 3 || raw.has("router") || raw.has("routerFile") || !is_router_secret(argv[argc - 1])) return;
  for (const Flag& flag : kFlags) {
    if (flag.takes != Takes::kMaybe || std::string("--") + flag.name != argv[argc - 2] || std::strcmp(flag.name, "scan") == 0) continue;
    raw.values[flag.name].back().clear();
    raw.values["router"] = {argv[argc - 1]};
  }
}

bool alternative_typed(const Flag& flag, const app::RawOptions& raw) {
  return std::any_of(std::begin(kAlternatives), std::end(kAlternatives),
                     [&](const auto& pair) { return std::strcmp(pair.first, flag.name) == 0 && raw.typed(pair.second); });
}

// "HYPERGATE_INGRESSPOLICY" -> "INGRESSPOLICY", "ingressPolicy" -> the same
std::string bare(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != '_') out.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  return out;
}

/// A variable that differs from ours in case or underscores only: not read, what it says would be passed over without a word. (Others
/// that begin like ours may be anybody's.)
Expected<void> check_variable_names() {
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::string_view name = text.substr(0, text.find('='));
    for (const Flag& flag : kFlags) {
      const std::string ours = app::variable_name(flag.name);
      if (has_variable(flag) && name != ours && bare(name) == bare(ours))
        return Error{"USAGE", std::string(name) + ": this variable is not read; it is called " + ours};
    }
  }
  return {};
}

void read_environment(app::RawOptions& raw) {
  for (const Flag& flag : kFlags) {
    if (!has_variable(flag) || raw.has(flag.name) || alternative_typed(flag, raw)) continue;
    const char* text = std::getenv(app::variable_name(flag.name).c_str());
    if (text == nullptr || *text == '\0') continue;
    const bool role = std::strcmp(flag.name, "provider") == 0 || std::strcmp(flag.name, "gateway") == 0;
    const bool other_verb = !raw.verb.empty() && raw.verb != "provider" && raw.verb != "gateway";
    if (role && (other_verb || std::strcmp(text, "false") == 0)) continue;
    raw.values[flag.name].push_back(text);
    raw.from_environment.insert(flag.name);
  }
}

/// Of an http(s) URL: user and password, and what is behind the path.
void blank_url(char* text) {
  const std::string_view url(text);
  const size_t authority = url.find("://") + 3;
  const size_t path = std::min(url.find_first_of("/?#", authority), url.size());
  const size_t at = url.substr(0, path).rfind('@');
  if (at != url.npos && at > authority) std::memset(text + authority, '*', at - authority);
  const size_t query = url.find_first_of("?#", path);
  if (query != url.npos) std::memset(text + query + 1, '*', url.size() - query - 1);
}

}  // namespace

Expected<app::RawOptions> read_options(int argc, const char* const* argv) {
  app::RawOptions raw;
  int first = 1;
  if (argc > 1)
    for (const char* verb : kVerbs)
      if (std::strcmp(argv[1], verb) == 0) raw.verb = verb, first = 2;
  if (argc > 1 && raw.verb.empty() && mistyped_verb(argv[1]))
    return Error{"USAGE",
                 app::shown(argv[1]) +
                     ": no such verb; give new, provider, gateway, scan, doctor, status, dht, check or demo; see hypergate --help"};

  std::map<std::string, std::vector<std::string>> parsed;
  CLI::App parser;
  parser.set_help_flag();
  parser.allow_extras();  // a positional list would take inline JSON such as [1,2] apart
  add_flags(parser, parsed);
  try {
    std::vector<std::string> arguments(argv + first, argv + argc);
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    parser.parse(arguments);
  } catch (const CLI::ParseError& fault) {
    return Error{"USAGE", std::string(fault.what()) + "; see hypergate --help"};
  }
  const std::vector<std::string> words = parser.remaining();
  for (const std::string& word : words)
    if (word.starts_with("-")) return Error{"USAGE", shown_option(word) + ": no such option; see hypergate --help"};
  for (auto& [name, values] : parsed)
    if (parser.get_option("--" + name)->count() > 0) raw.values[name] = std::move(values);
  release_secret(argc, argv, raw);
  if (auto placed = place_words(words, raw); !placed) return placed.error();
  if (auto checked = check_variable_names(); !checked) return checked.error();
  read_environment(raw);
  return raw;
}

std::string help_text() {
  std::map<std::string, std::vector<std::string>> unused;
  CLI::App parser;
  parser.set_help_flag();
  add_flags(parser, unused);
  describe(parser);
  return parser.help();
}

std::string version_text() { return "hypergate " HG_VERSION; }

void hide_secrets(int argc, char** argv) {
  auto blank = [](char* text) { std::memset(text, '*', std::strlen(text)); };
  for (int i = 1; i < argc; ++i) {
    const std::string_view text(argv[i]);
    for (const std::string_view option : {"--router", "--unlimitedSecret", "--fingerprintResolverBasicAuth"}) {
      if (text.starts_with(option) && text.substr(option.size()).starts_with('=')) blank(argv[i] + option.size() + 1);
      if (text == option && i + 1 < argc && option != "--router") blank(argv[i + 1]);
    }
    const size_t value = text.starts_with('-') && text.find('=') != text.npos ? text.find('=') + 1 : 0;
    if (app::looks_secret(text.substr(value))) blank(argv[i] + value);
    if (http::is_url(argv[i] + value)) blank_url(argv[i] + value);
  }
}

}  // namespace hg::cli
