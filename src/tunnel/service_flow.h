// A provider's socket towards a service, as the service sees it, and whom it speaks for. Shared by the link, which keeps it up to date, and
// the fingerprint resolver, which answers for it. One thread.
#pragma once

#include <memory>
#include <string>

#include "base/time.h"
#include "tunnel/frames.h"

namespace hg::tunnel {

struct ServiceFlow {
  Protocol protocol = Protocol::kTcp;
  uint16_t gate_port = 0;
  uint32_t channel = 0;
  std::string remote_ip;  // our socket: canonical text
  uint16_t remote_port = 0;
  std::string server_ip;  // the service's
  uint16_t server_port = 0;
  std::string fingerprint;  // JSON as the gateway sent it; may be empty or broken
  int64_t created_at_ms = 0;
  TimePoint last_traffic{};
  bool open = true;
};

class ServiceObserver {
 public:
  virtual ~ServiceObserver() = default;
  /// A socket towards a service was made; before the service gets a byte from it.
  virtual void on_service_flow(std::shared_ptr<ServiceFlow> flow) = 0;
};

}  // namespace hg::tunnel
