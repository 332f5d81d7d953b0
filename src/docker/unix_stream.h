// A Unix stream socket with a deadline for each exchange, as Beast's algorithms want it. Only engine.cc uses it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <string>

#include "base/time.h"

namespace hg::docker {

class UnixStream {
 public:
  using Protocol = boost::asio::local::stream_protocol;
  using Stream = boost::beast::basic_stream<Protocol>;

  explicit UnixStream(boost::asio::io_context& context) : stream_(context) {}

  /// A path that is too long for a socket address becomes one that does not exist.
  static Protocol::endpoint endpoint(const std::string& path) {
    constexpr size_t kMaxPath = 107;  // sun_path less its end
    return Protocol::endpoint(path.size() <= kMaxPath ? path : "/nonexistent");
  }

  Stream& stream() { return stream_; }
  void expires_after(Duration limit) { stream_.expires_after(limit); }
  void expires_never() { stream_.expires_never(); }
  template <class Handler>
  void async_connect(const Protocol::endpoint& endpoint, Handler&& handler) {
    stream_.async_connect(endpoint, std::forward<Handler>(handler));
  }
  void close() { stream_.close(); }

 private:
  Stream stream_;
};

}  // namespace hg::docker
