// The provider's side of the relay: connects channels to local services, TCP and UDP.
//
//   connect(): resolve the name ─▶ TCP connect ─▶ accept() ─▶ TcpLink            (UDP: socket ─▶ accept() ─▶ UdpLink)
//                                      └─ fails ─▶ refuse("… ECONNREFUSED")
//
// Owned by app; outlives the tunnel::Node that uses it as its connector. One thread.
#pragma once

#include <memory>

#include "io/loop.h"
#include "relay/link_context.h"
#include "tunnel/provider.h"

namespace hg::relay {

class ServiceLinks final : public tunnel::ServiceConnector {
 public:
  ServiceLinks(io::Loop& loop, const tunnel::Limits& limits);
  ~ServiceLinks() override;

  /// Where drops are counted once the node exists; without it they are counted apart.
  void set_counters(tunnel::Counters& counters);
  void connect(tunnel::ServiceRequest request, std::unique_ptr<tunnel::Channel> channel) override;
  /// Hears of every socket towards a service; nullptr: nobody does.
  void set_observer(tunnel::ServiceObserver* observer) { context_.observer = observer; }
  /// Instead of the system's, for the names of UDP services.
  void set_resolver(Resolver resolver) { context_.resolve = std::move(resolver); }
  size_t links() const;

 private:
  tunnel::Counters own_counters_;
  struct Sets;
  void sweep();

  LinkContext context_;
  std::unique_ptr<Sets> sets_;
  Timer idle_timer_;
};

}  // namespace hg::relay
