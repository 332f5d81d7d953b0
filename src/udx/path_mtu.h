// Search for the path's MTU in the manner of RFC 8899, with ordinary DATA packets as probes, and detection of black holes.
//
//   base (1200) ── first ack ──▶ search ── probe of size s acked ──▶ mtu = s, next size
//                                  │  └── s lost kMaxProbes times ──▶ s is too much, next size
//                                  └── nothing left between ──▶ complete ── kRaiseAfter ──▶ search
//   any ── one large packet lost kBlackHoleSendings times while no large one arrives ──▶ base ──▶ complete
//   any ── EMSGSIZE for size s ──▶ s is too much; base, if s was in use ──▶ search
//
// A probe is padded with at most 255 bytes (the header's data offset), so one step cannot exceed that. Sizes are IP packets
// (payload + 48, as in libudx). Owner: the sender. One thread.
#pragma once

#include <cstddef>
#include <optional>

#include "base/time.h"

namespace hg::udx {

class PathMtu {
 public:
  static constexpr size_t kOverhead = 48;   // libudx ae8bff7: 20 IPv4 (28 with UDP) + 20 header
  static constexpr size_t kBase = 1200;     // libudx ae8bff7
  static constexpr size_t kLargest = 1500;  // libudx ae8bff7; its receive buffer is 2048
  static constexpr size_t kMaxPadding = 255;
  static constexpr int kMaxProbes = 3;  // RFC 8899 5.1.2
  static constexpr int kBlackHoleSendings = 3;
  static constexpr Duration kBlackHoleSilence = 1s;  // without any large packet acknowledged
  static constexpr Duration kRaiseAfter = 600s;      // RFC 8899 5.1.1 PMTU_RAISE_TIMER
  static constexpr Duration kRaiseAfterBlackHole = 60s;

  size_t mtu() const { return mtu_; }
  size_t max_payload() const { return mtu_ - kOverhead; }

  /// Largest IP packet the interface takes, 0 if unknown.
  void set_interface_limit(size_t ip_bytes);
  /// The path changed: back to the base.
  void restart();

  /// The size to try with the next full packet, if one should be tried now.
  std::optional<size_t> wanted_probe(TimePoint now);
  void on_probe_sent() { probe_in_flight_ = true; }
  void on_probe_acked(size_t ip_bytes, TimePoint now);
  void on_probe_lost(size_t ip_bytes, TimePoint now);

  void on_acked(size_t ip_bytes, TimePoint now);
  /// `sendings`: how often this packet has been sent. True when the mtu fell back to the base.
  bool on_lost(size_t ip_bytes, int sendings, TimePoint now);
  void on_too_big(size_t ip_bytes, TimePoint now);

 private:
  enum class State { kBaseline, kSearch, kComplete };

  void choose_next(TimePoint now);

  State state_ = State::kBaseline;
  size_t mtu_ = kBase;
  size_t limit_ = kLargest;  // nothing above is tried
  size_t interface_limit_ = kLargest;
  size_t candidate_ = 0;
  int probes_lost_ = 0;
  bool probe_in_flight_ = false;
  TimePoint large_acked_at_{};
  TimePoint raise_at_{};
};

}  // namespace hg::udx
