#include "docker/engine.h"

#include <fmt/format.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <deque>

#include "docker/unix_stream.h"

namespace hg::docker {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace json = boost::json;

template <class Body>
http::request<Body> make_request(http::verb verb, const std::string& target) {
  http::request<Body> message{verb, target, 11};
  message.set(http::field::host, "docker");
  message.set(http::field::user_agent, "hypergate");
  message.set(http::field::connection, "close");
  return message;
}

Error engine_error(const std::string& path, const beast::error_code& code) {
  if (code == beast::error::timeout) return {"TIMEOUT", fmt::format("Docker Engine at {}: no answer in time", path)};
  return {"ENGINE", fmt::format("Docker Engine at {}: {}", path, code.message())};
}

}  // namespace

std::string Answer::fault() const {
  boost::system::error_code ignored;
  const json::value parsed = json::parse(body, ignored);
  if (!ignored && parsed.is_object())
    if (const json::value* message = parsed.get_object().if_contains("message"); message != nullptr && message->is_string())
      return fmt::format("{} ({})", std::string_view(message->get_string()), status);
  return fmt::format("status {}", status);
}

struct Engine::State {
  std::deque<std::shared_ptr<Exchange>> queue;
  size_t active = 0;
  bool alive = true;

  void next();
};

// One request; keeps itself alive through the pending operation.
class Engine::Exchange : public std::enable_shared_from_this<Engine::Exchange> {
 public:
  Exchange(io::Loop& loop, std::string path, Request request, Callback callback, std::shared_ptr<State> state)
      : path_(std::move(path)),
        timeout_(request.timeout),
        waits_(request.waits),
        callback_(std::move(callback)),
        state_(std::move(state)),
        stream_(loop.context()) {
    message_ = make_request<http::string_body>(http::string_to_verb(request.method), request.target);
    if (!request.body.empty()) message_.set(http::field::content_type, request.content_type);
    message_.body() = std::move(request.body);
    message_.prepare_payload();
    parser_.body_limit(kMaxAnswerBytes);
  }

  void start() {
    stream_.expires_after(timeout_);
    stream_.async_connect(UnixStream::endpoint(path_), [self = shared_from_this()](beast::error_code code) {
      if (code || !self->state_->alive) return self->finish(code);
      http::async_write(self->stream_.stream(), self->message_, [self](beast::error_code write_code, size_t) {
        if (write_code || !self->state_->alive) return self->finish(write_code);
        http::async_read(self->stream_.stream(), self->buffer_, self->parser_,
                         [self](beast::error_code read_code, size_t) { self->finish(read_code); });
      });
    });
  }

 private:
  void finish(beast::error_code code) {
    stream_.close();
    if (!state_->alive) return;
    if (!waits_) --state_->active;
    state_->next();
    if (code) return callback_(engine_error(path_, code));
    auto answer = parser_.release();
    callback_(Answer{static_cast<int>(answer.result_int()), std::move(answer.body())});
  }

  std::string path_;
  Duration timeout_;
  bool waits_;
  Callback callback_;
  std::shared_ptr<State> state_;
  UnixStream stream_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> message_;
  http::response_parser<http::string_body> parser_;
};

void Engine::State::next() {
  while (active < kMaxActive && !queue.empty()) {
    auto exchange = std::move(queue.front());
    queue.pop_front();
    ++active;
    exchange->start();
  }
}

Engine::Engine(io::Loop& loop, std::string socket_path) : loop_(loop), path_(std::move(socket_path)), state_(std::make_shared<State>()) {}

Engine::~Engine() {
  state_->alive = false;
  state_->queue.clear();
}

void Engine::request(Request request, Callback callback) {
  if (state_->queue.size() >= kMaxQueued) {
    loop_.post([state = state_, callback = std::move(callback)] {
      if (state->alive) callback(Error{"BUSY", "too many requests to the Docker Engine wait"});
    });
    return;
  }
  const bool waits = request.waits;
  auto exchange = std::make_shared<Exchange>(loop_, path_, std::move(request), std::move(callback), state_);
  if (waits) return exchange->start();
  state_->queue.push_back(std::move(exchange));
  state_->next();
}

namespace {

constexpr Duration kConnectLimit = 20s;
constexpr size_t kEventBlock = 16384;  // bytes read at once

class Follower : public std::enable_shared_from_this<Follower> {
 public:
  Follower(io::Loop& loop, std::string path, EventStream::Callbacks callbacks)
      : path_(std::move(path)), callbacks_(std::move(callbacks)), stream_(loop.context()) {
    message_ = make_request<http::empty_body>(http::verb::get, "/events?filters=" + percent_encode(R"({"type":["container","network"]})"));
    parser_.body_limit(boost::none);
  }

  void start() {
    stream_.expires_after(kConnectLimit);
    stream_.async_connect(UnixStream::endpoint(path_), [self = shared_from_this()](beast::error_code code) {
      if (code) return self->close(engine_error(self->path_, code));
      http::async_write(self->stream_.stream(), self->message_, [self](beast::error_code write_code, size_t) {
        if (write_code) return self->close(engine_error(self->path_, write_code));
        self->read_header();
      });
    });
  }

  void silence() {
    silent_ = true;
    stream_.close();
  }

 private:
  void read_header() {
    http::async_read_header(stream_.stream(), buffer_, parser_, [self = shared_from_this()](beast::error_code code, size_t) {
      if (code) return self->close(engine_error(self->path_, code));
      const int status = static_cast<int>(self->parser_.get().result_int());
      if (status != 200)
        return self->close({"ENGINE", fmt::format("Docker Engine at {}: refuses to report events (status {})", self->path_, status)});
      self->stream_.expires_never();  // silence is what a quiet engine says; the poll notices a dead one
      if (!self->silent_) self->callbacks_.on_open();
      if (!self->silent_) self->read_body();
    });
  }

  void read_body() {
    parser_.get().body().data = block_.data();
    parser_.get().body().size = block_.size();
    http::async_read_some(stream_.stream(), buffer_, parser_, [self = shared_from_this()](beast::error_code code, size_t) {
      if (code == http::error::need_buffer) code = {};
      if (self->silent_) return;
      self->take(std::string_view(self->block_.data(), self->block_.size() - self->parser_.get().body().size));
      if (self->silent_) return;
      if (code) return self->close(engine_error(self->path_, code));
      if (self->parser_.is_done()) return self->close({"ENGINE", fmt::format("Docker Engine at {}: ended its events", self->path_)});
      if (self->line_.size() > kMaxEventBytes) return self->close({"ENGINE", "Docker Engine: an event that is too long"});
      self->read_body();
    });
  }

  void take(std::string_view bytes) {
    line_.append(bytes);
    size_t start = 0;
    for (size_t end; !silent_ && (end = line_.find('\n', start)) != std::string::npos; start = end + 1)
      if (auto event = parse_event(std::string_view(line_).substr(start, end - start))) callbacks_.on_event(*event);
    line_.erase(0, start);
  }

  void close(const Error& error) {
    if (silent_) return;
    silence();
    const auto on_close = std::move(callbacks_.on_close);
    on_close(error);
  }

  std::string path_;
  EventStream::Callbacks callbacks_;
  UnixStream stream_;
  beast::flat_buffer buffer_;
  http::request<http::empty_body> message_;
  http::response_parser<http::buffer_body> parser_;
  std::array<char, kEventBlock> block_{};
  std::string line_;
  bool silent_ = false;
};

class FollowerHandle final : public EventStream {
 public:
  explicit FollowerHandle(std::shared_ptr<Follower> follower) : follower_(std::move(follower)) {}
  ~FollowerHandle() override { follower_->silence(); }

 private:
  std::shared_ptr<Follower> follower_;
};

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

std::unique_ptr<EventStream> Engine::follow_events(EventStream::Callbacks callbacks) {
  auto follower = std::make_shared<Follower>(loop_, path_, std::move(callbacks));
  follower->start();
  return std::make_unique<FollowerHandle>(std::move(follower));
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '-' || c == '_' || c == '.' || c == '~')
      out.push_back(c);
    else
      out += fmt::format("%{:02X}", byte);
  }
  return out;
}

Expected<Event> parse_event(std::string_view line) {
  boost::system::error_code code;
  const json::value parsed = json::parse(json::string_view(line.data(), line.size()), code);
  if (code || !parsed.is_object()) return Error{"EVENT", "an event that is no JSON object"};
  const json::object& object = parsed.get_object();
  Event event;
  event.type = text_at(object, "Type");
  event.action = text_at(object, "Action");
  if (const json::value* time = object.if_contains("timeNano"); time != nullptr && time->is_int64()) event.time_ns = time->get_int64();
  if (const json::value* actor = object.if_contains("Actor"); actor != nullptr && actor->is_object()) {
    if (const json::value* attributes = actor->get_object().if_contains("Attributes"); attributes != nullptr && attributes->is_object())
      for (const auto& [key, value] : attributes->get_object())
        if (value.is_string()) event.attributes[std::string(key)] = std::string(value.get_string());
    event.container = event.type == "container" ? text_at(actor->get_object(), "ID") : event.attributes["container"];
  }
  return event;
}

}  // namespace hg::docker
