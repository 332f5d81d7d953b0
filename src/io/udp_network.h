// The kernel's UDP sockets behind base/udp_socket.h.
#pragma once

#include "base/udp_socket.h"

namespace hg::io {

class Loop;

/// What the kernel gives a UDP socket made like all of ours.
struct UdpTraits {
  size_t receive_buffer = 0;  // bytes obtained, as the kernel counts them (its bookkeeping included)
  size_t send_buffer = 0;
  bool gso = false;
  bool gro = false;
};
Expected<UdpTraits> probe_udp_traits();

class KernelUdpNetwork final : public UdpNetwork {
 public:
  explicit KernelUdpNetwork(Loop& loop) : loop_(loop) {}
  Expected<std::unique_ptr<UdpSocket>> open_udp(const Endpoint& bind) override;
  std::vector<uint32_t> interface_addresses() const override;
  void resolve(const std::string& host, std::function<void(Expected<std::vector<uint32_t>>)> callback) override;

 private:
  Loop& loop_;
  mutable std::vector<uint32_t> interface_addresses_;  // last known: to ask takes a descriptor
};

}  // namespace hg::io
