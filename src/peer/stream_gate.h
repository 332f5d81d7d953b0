// Tells the owner of a raw stream of the first packet that reaches it, whichever socket it came in on.
// Shared by the stream's firewall and its owner, so that the owner may go first. One thread.
#pragma once

#include <functional>
#include <memory>

#include "udx/udx.h"

namespace hg::peer {

struct StreamGate {
  /// Runs for packets on foreign sockets; reset it to hear no more.
  std::function<void(UdpSocket&, const Endpoint&)> on_packet;

  /// Accepts every packet (its id was told to the peer alone), telling the gate's owner. Reading waits for a connection object to take
  /// over.
  static std::shared_ptr<StreamGate> guard(udx::Stream& stream) {
    auto gate = std::make_shared<StreamGate>();
    stream.pause_reading();
    stream.set_firewall([gate](UdpSocket& socket, const Endpoint& from) {
      if (from.port == 0) return false;
      if (const auto tell = gate->on_packet) tell(socket, from);
      return true;
    });
    return gate;
  }
};

}  // namespace hg::peer
