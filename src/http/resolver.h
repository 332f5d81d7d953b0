// The fingerprint resolver: from a socket as a service sees it to the client behind it.
//
//   GET /health                                                          {"ok":true}
//   GET /resolve?proto=&remote_addr=&remote_port=&server_addr=&server_port=   200 the record · 400 · 404
//   GET /all                                                             an array of all records        (both: password, if there is one)
//
// Without a password a loopback listener answers 403 to who asks by a public name, except for /health: see host_header.h.
//
// proto is tcp where it is left out; remote is the provider's socket, server the service. Answers to /resolve also carry X-Client-IP,
// X-Client-Port and X-Ingress-Labels, for nginx' auth_request. A record lives as long as its socket and max(idle time-out + 60 s, 120 s)
// after its last traffic, after the socket closed 120 s; at most kMaxRecords, the oldest go first. One thread.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/runtime.h"
#include "http/encoding.h"
#include "http/server.h"
#include "tunnel/limits.h"
#include "tunnel/rare_notice.h"
#include "tunnel/service_flow.h"

namespace hg::http {

class Resolver final : public tunnel::ServiceObserver {
 public:
  static constexpr size_t kMaxRecords = 131072;

  /// `credentials`: "user:password", empty: none.
  Resolver(Runtime& runtime, const tunnel::Limits& limits, std::string credentials);

  void on_service_flow(std::shared_ptr<tunnel::ServiceFlow> flow) override;
  /// `listener`: the server's address.
  Response answer(const Request& request, const io::SocketAddress& listener);
  size_t records() const { return index_.size(); }

 private:
  struct Record {
    std::string key;
    std::shared_ptr<tunnel::ServiceFlow> flow;
  };
  using Records = std::list<Record>;

  TimePoint expiry(const tunnel::ServiceFlow& flow) const;
  std::string describe(const Record& record) const;
  Response refuse_name();
  Response resolve(const Target& target) const;
  Response all() const;
  void erase(Records::iterator record);
  void sweep();

  Runtime& runtime_;
  const tunnel::Limits limits_;
  const std::string credentials_;
  Records records_;  // oldest first
  std::unordered_map<std::string, Records::iterator> index_;
  Timer sweep_timer_;
  tunnel::RareNotice notices_;
};

}  // namespace hg::http
