// A small HTTP/1.1 server on the loop for the program's own endpoints: whole requests in, whole responses out.
//
// Bounds: kMaxConnections at a time, kMaxRequestBytes a body. 30 s without a request, for its body or for taking its answer end a
// connection, and so do 5 s for a head, from its first byte. Who comes when all places are taken has that of whoever has waited longest for
// a request, or, where nobody does, taken longest over an answer; one whose request is being answered keeps it. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/expected.h"
#include "io/loop.h"
#include "io/socket_address.h"

namespace hg::http {

inline constexpr size_t kMaxConnections = 256;
inline constexpr size_t kMaxRequestBytes = 64 << 10;

struct Request {
  std::string method;                          // "GET"
  std::string target;                          // path and query as sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  io::SocketAddress client;
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::map<std::string, std::string> headers;
};

class Server {
 public:
  using Handler = std::function<Response(const Request&)>;
  using Reply = std::function<void(Response)>;
  using LateHandler = std::function<void(const Request&, Reply)>;

  virtual ~Server() = default;
  virtual io::SocketAddress local_address() const = 0;

  /// Listens and answers with `handler` until destroyed.
  static Expected<std::unique_ptr<Server>> listen(io::Loop& loop, const io::SocketAddress& address, Handler handler);
  /// The same for answers that take a while: `reply` is called once, on the loop, now or later.
  static Expected<std::unique_ptr<Server>> listen_late(io::Loop& loop, const io::SocketAddress& address, LateHandler handler);
};

}  // namespace hg::http
