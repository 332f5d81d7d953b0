// Serves as a blind relay: control connections on the relay key, tokens that two of them show, a bridge for each pair.
//
//   connection (a member's or a guest's) ─▶ Session ─ pair(token) ─▶ Pair: one half ─ the other ─▶ bridged, if one is a member's
//   bridged ─ DESTROY passed │ a session closed ─▶ leaving (kFarewell, last packets still pass) ─▶ gone, sessions ended
//           ─ nothing passed for kIdle ─▶ gone                     one half, no other in kHalfFor ─▶ gone
//
// A pair with a guest in it counts against the guests' share of pairs and of bandwidth until that one has become a member, too.
//
// It sees two addresses, sizes and times; the packets are the peers' own ciphertext. Tokens are kept as hashes, so that looking
// one up tells nothing of others. Every table is bounded, by session, by key and in all. Owned by whoever serves; the Host and its
// Context outlive it. One thread.
#pragma once

#include <array>
#include <unordered_map>

#include "base/timer.h"
#include "noise/secure_connection.h"
#include "peer/blind_relay_channel.h"
#include "peer/context.h"

namespace hg::peer {

class BlindRelayServerImpl final : public BlindRelayServer {
 public:
  static constexpr size_t kMaxSessions = 256;
  static constexpr size_t kMaxGuests = 16;      // sessions of others than members that are not paired
  static constexpr size_t kGuestShare = 4;      // a quarter of the pairs and of the bandwidth: anybody may ask a member in
  static constexpr size_t kMaxHalves = 128;     // pairs that wait for their other half
  static constexpr size_t kMaxPerSession = 4;   // pairs of one control connection; the reference uses one
  static constexpr size_t kMaxPerKey = 32;      // control connections of one key
  static constexpr Duration kUselessFor = 30s;  // a member's session without a pair, a guest's that nothing runs through
  static constexpr Duration kHalfFor = 20s;     // hyperdht's clients wait 15 s
  static constexpr Duration kFarewell = 3s;     // for the last words of two streams that end
  static constexpr Duration kIdle = 60s;        // streams say something every 5 s
  static constexpr Duration kSweep = 1s;
  static constexpr Duration kBurst = 100ms;  // of a rate: what may pass at once, and what may wait

  static Expected<std::unique_ptr<BlindRelayServer>> open(Host& host, Context& context, BlindRelayOptions options);
  BlindRelayServerImpl(Context& context, BlindRelayOptions options);
  ~BlindRelayServerImpl() override;

  const PublicKey& public_key() const override { return options_.key_pair.public_key; }
  const BlindRelayCounters& counters() const override { return counters_; }
  size_t open_sessions() const override { return sessions_.size(); }
  size_t open_pairs() const override;
  void on_listening(std::function<void()> callback) override { server_->on_listening(std::move(callback)); }
  void close(std::function<void()> done) override;
  /// Takes a control connection.
  void accept(std::unique_ptr<noise::SecureConnection> connection);

 private:
  class Session;
  struct Half {
    Session* session = nullptr;  // null: none yet, or gone
    uint32_t stream_id = 0;
  };
  struct Pair {
    std::array<Half, 2> halves;  // [1] is the initiator's
    std::unique_ptr<udx::Bridge> bridge;
    bool of_guest = false;
    std::shared_ptr<udx::Bandwidth> own;
    ByteArray<32> token{};
    TimePoint since{};
    std::optional<TimePoint> gone_at;
  };
  using Pairs = std::unordered_map<Hash32, Pair, ArrayHash>;

  Expected<void> listen(Host& host);
  bool refuses(const PublicKey& key);
  void on_pair(Session& session, const wire::Pair& message);
  void on_unpair(Session& session, const wire::Unpair& message);
  void on_session_closed(Session& session);
  bool bridge(Pair& pair);
  void leave(Pair& pair);
  void drop(Pairs::iterator at);
  void refuse(Session& session);
  void sweep();
  void arm_sweep();
  size_t waiting_halves() const;
  size_t guest_pairs() const;
  void review_guests();
  /// Each pair with a guest has an equal part of their bandwidth: whoever was served first would leave nothing for the others.
  void share_among_guests();

  Context& context_;
  BlindRelayOptions options_;
  std::shared_ptr<udx::SharedBandwidth> total_;
  const uint64_t of_guests_;  // bytes a second, all their pairs together
  BlindRelayCounters counters_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Session>> sessions_;
  Pairs pairs_;
  bool closing_ = false;
  Timer sweep_;
};

}  // namespace hg::peer
