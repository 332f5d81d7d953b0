#include "http/server.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <list>

namespace hg::http {

namespace {

namespace beast = boost::beast;
using tcp = boost::asio::ip::tcp;
constexpr auto kIdle = std::chrono::seconds(30);
constexpr auto kHeadTime = std::chrono::seconds(5);
constexpr size_t kFirstRead = 1024;       // bytes; most heads are shorter
constexpr Duration kAcceptPause = 100ms;  // out of file descriptors

class Exchange;

struct Shared {
  Server::LateHandler handler;
  std::list<Exchange*> exchanges;  // by the time of their last step, the longest ago first
  bool alive = true;
};

// One connection; keeps itself alive through the pending operation.
//
//   kAsks: first bytes ─▶ head ─▶ body ─▶ kIsAnswered: the handler ─▶ kTakes: the answer is written ─▶ kAsks
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  enum class Step { kAsks, kIsAnswered, kTakes };

  Exchange(tcp::socket socket, std::shared_ptr<Shared> shared)
      : stream_(std::move(socket)), shared_(std::move(shared)), place_(shared_->exchanges.insert(shared_->exchanges.end(), this)) {}
  ~Exchange() {
    if (place_) shared_->exchanges.erase(*place_);
  }

  Step step() const { return step_; }

  void read() {
    enter(Step::kAsks);
    parser_.emplace();
    parser_->body_limit(kMaxRequestBytes);
    if (buffer_.size() > 0) return read_head();  // asked before the last answer was out
    stream_.expires_after(kIdle);
    stream_.async_read_some(buffer_.prepare(kFirstRead), [self = shared_from_this()](beast::error_code error, size_t bytes) {
      if (error || !self->open()) return;
      self->buffer_.commit(bytes);
      self->read_head();
    });
  }

  /// Another connection needs the place.
  void give_way() {
    shared_->exchanges.erase(*place_);
    place_.reset();
    stream_.close();
  }

 private:
  bool open() const { return shared_->alive && place_; }

  void enter(Step step) {
    step_ = step;
    shared_->exchanges.splice(shared_->exchanges.end(), shared_->exchanges, *place_);
  }

  void read_head() {
    stream_.expires_after(kHeadTime);
    beast::http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, size_t) {
      if (!error && self->open()) self->read_body();
    });
  }

  void read_body() {
    stream_.expires_after(kIdle);
    beast::http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, size_t) {
      if (!error && self->open()) self->answer();
    });
  }

  void answer() {
    const auto message = parser_->release();
    Request request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    request.body = message.body();
    for (const auto& field : message) {
      std::string name(field.name_string());
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request.headers.emplace(std::move(name), std::string(field.value()));
    }
    beast::error_code error;
    const auto remote = stream_.socket().remote_endpoint(error);
    if (error) return;
    request.client = io::SocketAddress(remote.data(), static_cast<socklen_t>(remote.size()));

    const bool head = request.method == "HEAD";
    const bool keep_alive = message.keep_alive();
    const unsigned version = message.version();
    stream_.expires_never();
    enter(Step::kIsAnswered);
    shared_->handler(request, [self = shared_from_this(), head, keep_alive, version](Response reply) {
      if (self->shared_->alive) self->respond(std::move(reply), head, keep_alive, version);
    });
  }

  void respond(Response reply, bool head, bool keep_alive, unsigned version) {
    response_ = {static_cast<beast::http::status>(reply.status), version};
    response_.set(beast::http::field::content_type, reply.content_type);
    for (const auto& [name, value] : reply.headers) response_.set(name, value);
    response_.keep_alive(keep_alive);
    response_.body() = std::move(reply.body);
    response_.prepare_payload();
    if (head) response_.body().clear();
    enter(Step::kTakes);
    stream_.expires_after(kIdle);
    beast::http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code write_error, size_t) {
      if (!write_error && self->response_.keep_alive() && self->open()) self->read();
    });
  }

  beast::tcp_stream stream_;
  std::shared_ptr<Shared> shared_;
  std::optional<std::list<Exchange*>::iterator> place_;  // nullopt: gave way
  Step step_ = Step::kAsks;
  beast::flat_buffer buffer_;
  std::optional<beast::http::request_parser<beast::http::string_body>> parser_;
  beast::http::response<beast::http::string_body> response_;
};

/// Whether one more may come: for it goes who has waited longest for a request, or, where nobody does, who has been taking an answer
/// longest.
bool make_room(const Shared& shared) {
  if (shared.exchanges.size() < kMaxConnections) return true;
  for (const Exchange::Step step : {Exchange::Step::kAsks, Exchange::Step::kTakes}) {
    const auto found =
        std::find_if(shared.exchanges.begin(), shared.exchanges.end(), [step](const Exchange* one) { return one->step() == step; });
    if (found == shared.exchanges.end()) continue;
    (*found)->give_way();
    return true;
  }
  return false;
}

class BeastServer final : public Server {
 public:
  BeastServer(io::Loop& loop, LateHandler handler)
      : loop_(loop), acceptor_(loop.context()), shared_(std::make_shared<Shared>()), resume_(loop.timers(), [this] { accept(); }) {
    shared_->handler = std::move(handler);
  }
  ~BeastServer() override { shared_->alive = false; }

  Expected<void> open(const io::SocketAddress& address) {
    const auto ip = boost::asio::ip::make_address(address.host());
    const tcp::endpoint endpoint(ip, address.port());
    beast::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(boost::asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(boost::asio::socket_base::max_listen_connections, error);
    if (error) return Error{"ELISTEN", "cannot listen on " + address.to_string() + ": " + error.message()};
    accept();
    return {};
  }

  io::SocketAddress local_address() const override {
    const auto endpoint = acceptor_.local_endpoint();
    return io::SocketAddress(endpoint.data(), static_cast<socklen_t>(endpoint.size()));
  }

 private:
  void accept() {
    acceptor_.async_accept([this, shared = shared_](beast::error_code error, tcp::socket socket) {
      if (!shared->alive || error == boost::asio::error::operation_aborted) return;
      if (error) return resume_.arm(loop_.now() + kAcceptPause);
      beast::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      if (make_room(*shared)) std::make_shared<Exchange>(std::move(socket), shared)->read();
      accept();
    });
  }

  io::Loop& loop_;
  tcp::acceptor acceptor_;
  std::shared_ptr<Shared> shared_;
  Timer resume_;
};

}  // namespace

Expected<std::unique_ptr<Server>> Server::listen(io::Loop& loop, const io::SocketAddress& address, Handler handler) {
  return listen_late(loop, address,
                     [handler = std::move(handler)](const Request& request, const Reply& reply) { reply(handler(request)); });
}

Expected<std::unique_ptr<Server>> Server::listen_late(io::Loop& loop, const io::SocketAddress& address, LateHandler handler) {
  auto server = std::make_unique<BeastServer>(loop, std::move(handler));
  if (auto opened = server->open(address); !opened) return opened.error();
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace hg::http
