// Resets a socket once its other end has what was written: a reset overtakes the bytes that wait in the kernel, and throws them away.
//
//   all acknowledged, or nothing more for kPatience ─▶ reset_on_close(), done()
//
// Nothing tells of acknowledgements: they are looked for, after kFirstLook, and each time after twice as long.
#pragma once

#include <functional>

#include "base/timer.h"
#include "io/tcp.h"

namespace hg::relay {

class Farewell {
 public:
  /// `done` may destroy this, and the socket.
  Farewell(io::Loop& loop, io::TcpSocket& socket, std::function<void()> done);

 private:
  static constexpr Duration kFirstLook = 1ms;  // a round trip on the local network
  static constexpr Duration kLastLook = 500ms;
  static constexpr Duration kPatience = 5s;

  void look();

  io::Loop& loop_;
  io::TcpSocket& socket_;
  std::function<void()> done_;
  size_t left_;
  Duration pause_ = kFirstLook;
  TimePoint progressed_;
  Timer timer_;
};

}  // namespace hg::relay
