// The kernel's UDP sockets behind base/udp_socket.h.
#pragma once

#include "base/udp_socket.h"

namespace hg::io {

class Loop;

class KernelUdpNetwork final : public UdpNetwork {
 public:
  explicit KernelUdpNetwork(Loop& loop) : loop_(loop) {}
  Expected<std::unique_ptr<UdpSocket>> open_udp(const Endpoint& bind) override;
  std::vector<uint32_t> interface_addresses() const override;
  void resolve(const std::string& host, std::function<void(Expected<std::vector<uint32_t>>)> callback) override;

 private:
  Loop& loop_;
};

}  // namespace hg::io
