// How fast the path to a peer is, measured with filler that it throws away and answers (feature "probe").
//
//   ask(): filler ─▶ … the last of it says how much the peer is to send back ─▶ filler back … ─▶ done(result)
//
// Filler goes only while the connection has room and after the channels had their turn. Both sides of a session have one. One thread.
#pragma once

#include <cstdint>
#include <functional>

#include "base/bytes.h"
#include "base/time.h"

namespace hg::tunnel {

class PathProbe {
 public:
  static constexpr uint32_t kMaxBytes = 32 << 20;      // that a peer may ask for at a time
  static constexpr uint64_t kMaxAnswered = 128 << 20;  // that one peer gets in all
  static constexpr size_t kPiece = 61440;              // bytes of filler in one message

  struct Result {
    uint32_t bytes = 0;  // each way
    Duration up{};       // until the first of the answer came: one round trip longer than the sending
    Duration down{};     // between the first and the last of the answer
  };
  using Done = std::function<void(const Result&)>;
  /// Whether the connection takes another message / sends one.
  using HasRoom = std::function<bool()>;
  using Send = std::function<void(uint32_t wanted_back, size_t filler)>;

  PathProbe(HasRoom has_room, Send send) : has_room_(std::move(has_room)), send_(std::move(send)) {}

  /// False: one is under way, or `bytes` is 0 or more than kMaxBytes. `done` may destroy neither the session nor this.
  bool ask(uint32_t bytes, TimePoint now, Done done);
  /// A message of the peer: wanted back u32, filler. False: malformed.
  bool on_message(ByteView body, TimePoint now);
  /// The connection has room again.
  void pump();

 private:
  void answer(uint32_t bytes);

  HasRoom has_room_;
  Send send_;
  uint64_t to_send_ = 0;
  uint64_t answered_ = 0;
  uint32_t ask_at_end_ = 0;
  Done done_;
  Result result_;
  TimePoint started_{};
  TimePoint first_back_{};
  uint64_t came_back_ = 0;
};

}  // namespace hg::tunnel
