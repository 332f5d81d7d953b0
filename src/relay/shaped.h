// A link's two directions under a client's limit.
#pragma once

#include <deque>
#include <functional>

#include "tunnel/shaper.h"

namespace hg::relay {

/// A stream's: the link asks before it reads (up) and before it writes (down).
struct ShapedStream {
  ShapedStream(std::function<void()> on_up, std::function<void()> on_down) : up(std::move(on_up)), down(std::move(on_down)) {}
  void use(const std::shared_ptr<tunnel::Bucket>& bucket) {
    up.use(bucket);
    down.use(bucket);
  }
  tunnel::ShapedSide up;
  tunnel::ShapedSide down;
};

/// One direction of a UDP flow: datagrams beyond the rate wait, in order. What all flows of a client have waiting is bounded by their
/// bucket's burst; beyond it each may keep one packet, so that a busy flow does not end the others.
class ShapedDatagrams {
 public:
  using Out = std::function<void(ByteView)>;
  static constexpr size_t kOnePacket = 1500;  // bytes: Ethernet's MTU

  explicit ShapedDatagrams(Out out) : out_(std::move(out)), side_([this] { drain(); }) {}
  ~ShapedDatagrams() { forget(queue_.size(), bytes_); }

  /// A change of the limit; without one (nullptr) what waits goes at once.
  void use(std::shared_ptr<tunnel::Bucket> bucket) {
    forget(queue_.size(), bytes_);
    side_.use(std::move(bucket));
    if (limited()) side_.bucket()->add_queued(queue_.size(), bytes_);
    drain();
  }
  bool limited() const { return side_.bucket() != nullptr; }
  /// False: more than the burst waits already.
  bool push(ByteView datagram) {
    if (queue_.empty() && side_.grant_whole(datagram.size())) {
      side_.charge(datagram.size());
      out_(datagram);
      return true;
    }
    const bool alone = queue_.empty() && datagram.size() <= kOnePacket;
    if (!alone && !side_.bucket()->may_queue(datagram.size())) return false;
    side_.bucket()->add_queued(1, datagram.size());
    bytes_ += datagram.size();
    queue_.push_back(to_bytes(datagram));
    return true;
  }

 private:
  void forget(size_t datagrams, size_t bytes) {
    if (limited()) side_.bucket()->remove_queued(datagrams, bytes);
  }
  void drain() {
    while (!queue_.empty() && side_.grant_whole(queue_.front().size())) {
      const Bytes datagram = std::move(queue_.front());
      queue_.pop_front();
      bytes_ -= datagram.size();
      forget(1, datagram.size());
      side_.charge(datagram.size());
      out_(datagram);
    }
  }

  Out out_;
  std::deque<Bytes> queue_;
  size_t bytes_ = 0;
  tunnel::ShapedSide side_;
};

}  // namespace hg::relay
