#include "relay/farewell.h"

#include <algorithm>
#include <utility>

namespace hg::relay {

Farewell::Farewell(io::Loop& loop, io::TcpSocket& socket, std::function<void()> done)
    : loop_(loop),
      socket_(socket),
      done_(std::move(done)),
      left_(socket.unacknowledged()),
      progressed_(loop.now()),
      timer_(loop.timers(), [this] { look(); }) {
  timer_.arm(loop_.now() + (left_ == 0 ? Duration{} : pause_));
}

void Farewell::look() {
  const TimePoint now = loop_.now();
  const size_t left = socket_.unacknowledged();
  if (left < left_) progressed_ = now;
  left_ = left;
  if (left == 0 || now - progressed_ >= kPatience) {
    socket_.reset_on_close();
    return std::exchange(done_, {})();
  }
  pause_ = std::min<Duration>(pause_ * 2, kLastLook);
  timer_.arm(now + pause_);
}

}  // namespace hg::relay
