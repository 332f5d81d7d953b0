// What the sender tells a congestion controller and what it asks of it.
//
//   on_sent() … on_lost() … on_ack() ─▶ window(), pacing_rate(), send_quantum()
//
// Bytes are IP packets' bytes (payload + 48). Rates in bytes per second. Owner: the sender. One thread; time is passed in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace hg::udx::cc {

inline constexpr Duration kShortPath = 2ms;  // what two busy event loops add: on shorter round trips they are most of what is measured

struct RateSample {
  bool valid = false;
  uint64_t prior_delivered = 0;  // delivered when the sample's packet was sent
  uint64_t delivered = 0;        // since then
  uint64_t lost = 0;             // since then
  size_t in_flight_at_send = 0;
  bool app_limited = false;
  Duration interval{};
};

struct AckEvent {
  TimePoint now{};
  size_t acked = 0;      // newly delivered by this acknowledgement
  size_t lost = 0;       // newly declared lost because of it
  size_t in_flight = 0;  // afterwards
  size_t prior_in_flight = 0;
  uint64_t delivered_total = 0;
  Duration rtt{};  // zero: no sample
  RateSample rate;
};

class Controller {
 public:
  virtual ~Controller() = default;
  virtual void set_packet_size(size_t bytes) = 0;
  virtual void on_sent(TimePoint now, size_t in_flight_before, bool app_limited) = 0;
  virtual void on_ack(const AckEvent& event) = 0;
  /// Loss found outside an acknowledgement (timer).
  virtual void on_lost(size_t bytes) = 0;
  virtual void on_loss_undone(size_t bytes) = 0;
  virtual void on_retransmission_timeout(size_t in_flight) = 0;
  /// The sender itself was held up for so long: what round trips it measures now are not the path's.
  virtual void on_held_up(Duration late) = 0;
  /// After a timeout the peer answered, though it acknowledged nothing new.
  virtual void on_path_back(TimePoint now) = 0;
  virtual size_t window() const = 0;
  virtual double pacing_rate() const = 0;
  /// What the path itself holds at its full rate, without a queue; 0 before it is known.
  virtual size_t bandwidth_delay_product() const = 0;
  virtual size_t send_quantum() const = 0;
};

}  // namespace hg::udx::cc
