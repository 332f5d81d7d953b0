// One handshake a server has answered, from the reply until 10 s after its end.
//
//   kWaiting ── a path was found ──▶ kProving ── header verified or not ──▶ kOver ── 10 s ──▶ cleared
//      └──────────────── nobody came, punch failed ────────────────────────────┘
//
// A relay that either side offered is gone through beside the other ways: at once, or after kRelayAfter, or when those have failed.
// Private to server.cc and server_punch.cc.
#pragma once

#include "peer/blind_relay_client.h"
#include "peer/server.h"
#include "peer/stream_gate.h"

namespace hg::peer {

struct ServerImpl::Slot {
  enum class Phase { kWaiting, kProving, kOver };

  Slot(Runtime& runtime, size_t slot_id, const Hash32& noise_hash, const Endpoint& from, const Origin& charged_to,
       std::function<void(Slot&)> on_timer, std::function<void(Slot&)> on_relay_due)
      : id(slot_id),
        key(noise_hash),
        client(from),
        origin(charged_to),
        since(runtime.now()),
        timer(runtime.timers(), [this, on_timer = std::move(on_timer)] { on_timer(*this); }),
        relay_timer(runtime.timers(), [this, on_relay_due = std::move(on_relay_due)] { on_relay_due(*this); }) {}
  ~Slot() {
    if (gate) gate->on_packet = nullptr;
    if (relay_setup) crypto::wipe(relay_setup->key_pair.secret_key);
    crypto::wipe(keys.tx);
    crypto::wipe(keys.rx);
  }

  /// Nothing shows that the client got our reply.
  bool silent() const { return phase != Phase::kOver && !heard && !relay; }
  bool relay_pending() const { return relay != nullptr || relay_timer.armed(); }

  /// Lets go of all but the memory of its handshake. Safe inside callbacks of what it lets go of: proof and puncher, by then without a
  /// socket, stay until the slot is cleared.
  void finish() {
    phase = Phase::kOver;
    if (gate) gate->on_packet = nullptr;
    if (puncher) puncher->release();
    reply.reset();
    relay_timer.disarm();
    relay.reset();
    if (relay_setup) crypto::wipe(relay_setup->key_pair.secret_key);
    if (raw) raw->destroy();
    crypto::wipe(keys.tx);
    crypto::wipe(keys.rx);
  }

  size_t id;
  Hash32 key;
  Endpoint client;
  Origin origin;
  TimePoint since;
  Phase phase = Phase::kWaiting;
  bool heard = false;  // the client, since our reply: a punch message or a packet of the stream that only the reply names
  std::optional<RoutedReply> reply;
  noise::SessionKeys keys;
  uint32_t remote_udx_id = 0;
  std::optional<wire::MoveInfo> move;  // ours, of the connection that is to continue
  uint32_t move_remote_id = 0;
  uint64_t round = 0;
  std::optional<SecurePayload> secure;
  std::unique_ptr<Puncher> puncher;
  std::unique_ptr<udx::Stream> raw;
  std::shared_ptr<StreamGate> gate;
  std::unique_ptr<Proof> proof;
  std::optional<BlindRelayClient::Setup> relay_setup;
  std::shared_ptr<BlindRelayClient> relay;
  Timer timer;
  Timer relay_timer;
};

}  // namespace hg::peer
