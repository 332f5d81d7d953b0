// The demo's private services: a web page that counts its readers, and an echo.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "http/server.h"
#include "io/tcp.h"

namespace hg::app {

class DemoServices {
 public:
  explicit DemoServices(io::Loop& loop);
  ~DemoServices();

  Expected<void> start();
  void on_event(std::function<void(const std::string&)> callback) { on_event_ = std::move(callback); }
  std::string web_address() const { return web_->local_address().to_string(); }
  std::string echo_address() const { return echo_->local_address().to_string(); }
  uint16_t web_port() const { return web_->local_address().port(); }
  uint16_t echo_port() const { return echo_->local_address().port(); }
  /// Ports of 127.0.0.1 that were free a moment ago, all different; fewer than `count` where there are no more.
  std::vector<uint16_t> free_ports(size_t count);

 private:
  class Echo;
  http::Response page(const http::Request& request);
  void add_echo(std::unique_ptr<io::TcpSocket> socket);

  io::Loop& loop_;
  std::function<void(const std::string&)> on_event_;
  uint64_t pages_ = 0;
  std::unique_ptr<http::Server> web_;
  std::unique_ptr<io::TcpListener> echo_;
  std::list<std::unique_ptr<Echo>> echoes_;
};

}  // namespace hg::app
