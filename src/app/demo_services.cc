#include "app/demo_services.h"

#include <fmt/format.h>

namespace hg::app {

namespace {

constexpr size_t kMaxEchoes = 1024;

constexpr const char* kPage = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hypergate demo</title>
<style>
body {{ font: 18px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1rem; color: #1d2433; }}
code {{ background: #eef1f6; padding: 0 .3em; border-radius: 4px; }}
b {{ color: #0a6b52; font-size: 1.4em; }}
</style></head><body>
<h1>This page came through a Hypergate tunnel</h1>
<p>A provider offers this web server, which listens on a private port. A gateway found the provider over a
distributed hash table, and opened the port you are reading from. Between them every byte is encrypted.</p>
<p>Page number <b>{}</b>, asked for as <code>{}</code>.</p>
<p><a href="/">Read it again</a></p>
</body></html>
)";

}  // namespace

// Sends back what it gets; what the client does not take yet is kept, and nothing more is read meanwhile.
class DemoServices::Echo final : public io::TcpHandler {
 public:
  Echo(std::unique_ptr<io::TcpSocket> socket, std::function<void(Echo*)> on_done)
      : socket_(std::move(socket)), on_done_(std::move(on_done)) {
    socket_->set_handler(this);
    socket_->watch_read(true);
  }
  void on_readable() override {
    uint8_t block[16384];
    const io::IoResult result = socket_->read(block);
    if (result.kind == io::IoResult::Kind::kWouldBlock) return;
    if (result.kind != io::IoResult::Kind::kBytes) return on_done_(this);
    append_bytes(pending_, {block, result.bytes});
    on_writable();
  }
  void on_writable() override {
    const ByteView all(pending_);
    const io::IoResult result = socket_->write({&all, 1});
    if (result.kind == io::IoResult::Kind::kError) return on_done_(this);
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(result.bytes));
    socket_->watch_read(pending_.empty());
    socket_->watch_write(!pending_.empty());
  }

 private:
  std::unique_ptr<io::TcpSocket> socket_;
  std::function<void(Echo*)> on_done_;
  Bytes pending_;
};

DemoServices::DemoServices(io::Loop& loop) : loop_(loop) {}
DemoServices::~DemoServices() = default;

Expected<void> DemoServices::start() {
  const auto any = *io::SocketAddress::parse("127.0.0.1", 0);
  auto web = http::Server::listen(loop_, any, [this](const http::Request& request) { return page(request); });
  if (!web) return web.error();
  web_ = std::move(*web);
  auto echo = io::tcp_listen(loop_, any, [this](std::unique_ptr<io::TcpSocket> socket) { add_echo(std::move(socket)); });
  if (!echo) return echo.error();
  echo_ = std::move(*echo);
  return {};
}

std::vector<uint16_t> DemoServices::free_ports(size_t count) {
  std::vector<std::unique_ptr<io::TcpListener>> held;  // until all are known: a port given back is given again
  std::vector<uint16_t> ports;
  while (ports.size() < count) {
    auto listener = io::tcp_listen(loop_, *io::SocketAddress::parse("127.0.0.1", 0), [](auto) {});
    if (!listener) break;
    ports.push_back((*listener)->local_address().port());
    held.push_back(std::move(*listener));
  }
  return ports;
}

http::Response DemoServices::page(const http::Request& request) {
  http::Response response;
  if (request.target != "/") {
    response.status = 404;
    response.body = "There is only one page here: /\n";
    return response;
  }
  ++pages_;
  if (on_event_) on_event_(fmt::format("page {} served", pages_));
  const auto host = request.headers.find("host");
  std::string asked = host == request.headers.end() ? "?" : host->second;
  std::erase_if(asked, [](unsigned char c) { return !std::isalnum(c) && c != '.' && c != ':' && c != '-'; });
  response.content_type = "text/html; charset=utf-8";
  response.body = fmt::format(kPage, pages_, asked);
  return response;
}

void DemoServices::add_echo(std::unique_ptr<io::TcpSocket> socket) {
  if (echoes_.size() >= kMaxEchoes) return;
  if (on_event_) on_event_("echo client connected");
  echoes_.push_back(std::make_unique<Echo>(std::move(socket), [this](Echo* done) {
    loop_.post([this, done] { echoes_.remove_if([&](const auto& echo) { return echo.get() == done; }); });
  }));
}

}  // namespace hg::app
