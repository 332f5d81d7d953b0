#include "dht/bootstrap.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "dht/node.h"

namespace hg::dht {
namespace {

constexpr size_t kBackgroundConcurrency = 2;  // npm dht-rpc 6.27 _backgroundQuery
constexpr Duration kFirstRetry = std::chrono::seconds(1);
constexpr Duration kLastRetry = std::chrono::seconds(10);
constexpr Duration kLogInterval = std::chrono::minutes(1);
constexpr size_t kRemembered = 64;
constexpr int kProbes = 3;  // the reference sends one, and a lost packet makes a node count as unreachable for 20 minutes
constexpr int kRounds = 2;
constexpr Duration kSilentFor = std::chrono::minutes(1);

}  // namespace

std::vector<std::string> default_bootstrap() {
  return {"88.99.3.86@node1.hyperdht.org:49737", "142.93.90.113@node2.hyperdht.org:49737", "138.68.147.8@node3.hyperdht.org:49737"};
}

Expected<BootstrapEntry> parse_bootstrap(std::string_view text) {
  const Error bad{"BAD_BOOTSTRAP", "bootstrap node must be host:port or ip@host:port: " + std::string(text)};
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return bad;
  BootstrapEntry entry;
  const std::string_view port = text.substr(colon + 1);
  const auto [end, fault] = std::from_chars(port.data(), port.data() + port.size(), entry.port);
  if (fault != std::errc() || end != port.data() + port.size() || entry.port == 0) return bad;
  std::string_view host = text.substr(0, colon);
  if (const size_t at = host.find('@'); at != std::string_view::npos) {
    entry.address = parse_ipv4(host.substr(0, at));
    if (!entry.address) return bad;
    host = host.substr(at + 1);
  }
  if (host.empty()) return bad;
  entry.host = std::string(host);
  return entry;
}

struct Bootstrap::Name {
  struct Waiting {
    std::weak_ptr<Resolution> resolution;
    uint16_t port;
  };
  std::optional<uint32_t> address;  // the last one
  bool asked = false;               // a lookup is under way
  std::vector<Waiting> waiting;     // for the first address
};

struct Bootstrap::Resolution : std::enable_shared_from_this<Resolution> {
  Bootstrap& owner;
  Node& node;
  std::function<void(const Endpoint&)> found;
  std::function<void()> done;
  std::vector<RequestHandle> pings;
  size_t pending = 0;

  Resolution(Bootstrap& o, std::function<void(const Endpoint&)> f, std::function<void()> d)
      : owner(o), node(o.node_), found(std::move(f)), done(std::move(d)) {}

  void run(const std::vector<BootstrapEntry>& entries) {
    pending = entries.size() + 1;  // and this call's own end
    for (const BootstrapEntry& entry : entries) {
      if (!entry.address) {
        look_up(entry);
      } else if (const Endpoint at{*entry.address, entry.port}; owner.silent(at)) {
        settle_later(std::nullopt);
      } else {
        pings.push_back(node.ping(at, [this, at, entry](Expected<Response> answer) { answer ? settle(at) : look_up(entry); }));
      }
    }
    settle_later(std::nullopt);
  }
  void settle_later(std::optional<Endpoint> address) {
    node.runtime().post([weak = weak_from_this(), address] {
      if (const auto self = weak.lock()) self->settle(address);
    });
  }
  void look_up(const BootstrapEntry& entry) {
    const auto name = owner.look_up(entry.host);
    if (name->address) return settle_later(Endpoint{*name->address, entry.port});
    std::erase_if(name->waiting, [](const Name::Waiting& w) { return w.resolution.expired(); });
    name->waiting.push_back({weak_from_this(), entry.port});
  }
  void settle(std::optional<Endpoint> address) {
    const auto keep = shared_from_this();
    if (address && !owner.silent(*address)) found(*address);
    if (--pending == 0) done();
  }
};

Bootstrap::Bootstrap(Node& node, std::vector<BootstrapEntry> entries)
    : node_(node), entries_(std::move(entries)), retry_(node.runtime().timers(), [this] { kick_now(); }) {}

Bootstrap::~Bootstrap() = default;

std::shared_ptr<void> Bootstrap::resolve(std::function<void(const Endpoint&)> found, std::function<void()> done) {
  const auto resolution = std::make_shared<Resolution>(*this, std::move(found), std::move(done));
  resolution->run(entries_);
  return resolution;
}

/// One lookup of a name at a time: they may take as long as the system's resolver likes.
std::shared_ptr<Bootstrap::Name> Bootstrap::look_up(const std::string& host) {
  auto& name = names_[host];
  if (!name) name = std::make_shared<Name>();
  if (std::exchange(name->asked, true)) return name;
  node_.runtime().network().resolve(host, [weak = std::weak_ptr(name)](Expected<std::vector<uint32_t>> addresses) {
    const auto answered = weak.lock();
    if (!answered) return;
    answered->asked = false;
    if (addresses && !addresses->empty()) answered->address = addresses->front();
    for (const Name::Waiting& waiting : std::exchange(answered->waiting, {}))
      if (const auto resolution = waiting.resolution.lock())
        resolution->settle(answered->address ? std::optional(Endpoint{*answered->address, waiting.port}) : std::nullopt);
  });
  return name;
}

void Bootstrap::remember(const Endpoint& address) {
  if (std::find(remembered_.begin(), remembered_.end(), address) != remembered_.end()) return;
  if (remembered_.size() < kRemembered)
    remembered_.push_back(address);
  else
    remembered_[next_remembered_++ % kRemembered] = address;
}

void Bootstrap::note_silent(const Endpoint& address) {
  const TimePoint now = node_.runtime().now();
  const auto known = std::find_if(silent_.begin(), silent_.end(), [&](const auto& s) { return s.first == address; });
  if (known != silent_.end())
    known->second = now;
  else if (silent_.size() < entries_.size())
    silent_.emplace_back(address, now);
  else if (!silent_.empty())
    *std::min_element(silent_.begin(), silent_.end(), [](const auto& a, const auto& b) { return a.second < b.second; }) = {address, now};
}

bool Bootstrap::silent(const Endpoint& address) const {
  if (node_.table_size() == 0) return false;
  const TimePoint now = node_.runtime().now();
  return std::any_of(silent_.begin(), silent_.end(), [&](const auto& s) { return s.first == address && now - s.second < kSilentFor; });
}

void Bootstrap::kick() {
  if (!running_ && !retry_.armed()) kick_now();
}

void Bootstrap::kick_now() {
  if (running_) return;
  retry_.disarm();
  running_ = true;
  round_ = 0;
  const NodeOptions& options = node_.options();
  const bool test = node_.firewalled() && options.quick_firewall && options.ephemeral != NodeOptions::Ephemeral::kNever;
  probes_left_ = test ? kProbes : 0;
  probe_answered_ = false;
  run_query();
}

void Bootstrap::run_query() {
  QueryOptions options{.concurrency = kBackgroundConcurrency};
  if (node_.table_size() == 0) options.nodes = remembered_;
  query_ = std::make_unique<Query>(
      node_, Command{.command = wire::kFindNode, .target = node_.table_id(), .internal = true}, std::move(options),
      [this](const Response& reply) { on_reply(reply); }, nullptr,
      [this](Expected<QueryResult> result) { on_query_done(result ? result->replies : 0); });
}

void Bootstrap::on_reply(const Response& reply) {
  query_->set_concurrency(node_.busy() ? kBackgroundConcurrency : node_.options().concurrency);
  if (probes_left_ == 0) return;
  --probes_left_;
  const uint16_t port = node_.server_port();
  Command probe{
      .command = wire::kPingNat, .value = Bytes{static_cast<uint8_t>(port & 0xff), static_cast<uint8_t>(port >> 8)}, .internal = true};
  node_
      .request(reply.from, std::move(probe),
               [this](Expected<Response> answer) {
                 if (answer && answer->socket == &node_.server_socket()) on_probe_answered();
               })
      .detach();
}

// An answer may also come when the query has ended: a small or quick network is asked in less time.
void Bootstrap::on_probe_answered() {
  probe_answered_ = true;
  if (!running_) node_.update_network_state(true, [](bool) {});
}

void Bootstrap::on_query_done(size_t replies) {
  if (node_.closed()) return;
  if (replies == 0 && round_ == 0 && has_entries()) return finish(false);
  const bool force = node_.options().ephemeral == NodeOptions::Ephemeral::kNever;
  if (++round_ == kRounds || (!probe_answered_ && !force)) return finish(true);
  node_.update_network_state(!force, [this](bool changed) { changed ? run_query() : finish(true); });
}

void Bootstrap::finish(bool reached) {
  running_ = false;
  if (reached) {
    if (std::exchange(failures_, 0) > 0) HG_LOG(kInfo, "dht", "bootstrap reached the network, nodes known: {}", node_.table_size());
    last_log_.reset();
    return node_.on_bootstrapped(true);
  }
  const int doublings = std::min(failures_++, 5);
  const Duration wait = std::min(kFirstRetry * (1 << doublings), kLastRetry);
  const auto jitter = std::chrono::milliseconds(node_.runtime().rng().below(500));
  retry_.arm(node_.runtime().now() + wait + jitter);
  log_failure(wait);
  node_.on_bootstrapped(false);
}

void Bootstrap::log_failure(Duration next_attempt) {
  // The node's own word of silence comes first.
  const TimePoint now = node_.runtime().now();
  if (!last_log_) last_log_ = now;
  if (now - *last_log_ < kLogInterval) return;
  last_log_ = now;
  HG_LOG(kWarn, "dht", "none of {} bootstrap nodes answers; trying again in {} s", entries_.size(), to_ms(next_attempt) / 1000);
}

}  // namespace hg::dht
