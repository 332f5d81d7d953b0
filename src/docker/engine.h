// A client of the Docker Engine API over its Unix socket, on the loop, with a connection for each request.
//
//   request(): queue (kMaxQueued) ─▶ at most kMaxActive at a time ─▶ connect ─▶ write ─▶ read the whole answer ─▶ callback, once
//   follow_events(): connect ─▶ header ─▶ on_open ─▶ on_event* ─▶ on_close, once
//
// Paths carry no API version: every engine then answers in its newest. An answer longer than kMaxAnswerBytes or an event line longer
// than kMaxEventBytes ends that exchange. Destroying an Engine or EventStream silences it. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/expected.h"
#include "base/time.h"
#include "io/loop.h"

namespace hg::docker {

inline constexpr const char* kDefaultSocket = "/var/run/docker.sock";
inline constexpr size_t kMaxActive = 8;
inline constexpr size_t kMaxQueued = 4096;
inline constexpr size_t kMaxAnswerBytes = 32 << 20;
inline constexpr size_t kMaxEventBytes = 1 << 20;

struct Request {
  std::string method = "GET";
  std::string target = {};
  std::string body = {};
  std::string content_type = "application/json";
  Duration timeout = 20s;
  bool waits = false;  // at the engine, for something to end: it passes the queue and takes no place of the kMaxActive
};

struct Answer {
  int status = 0;
  std::string body;

  bool ok() const { return status >= 200 && status < 300; }
  /// The engine's own words, or the status.
  std::string fault() const;
};

/// One event, reduced to what matters here.
struct Event {
  std::string type;       // "container", "network"
  std::string action;     // "start", "die", "connect", …
  std::string container;  // id, also of network events
  std::map<std::string, std::string> attributes;
  int64_t time_ns = 0;  // Unix time at the engine
};

class EventStream {
 public:
  struct Callbacks {
    std::function<void()> on_open;
    std::function<void(const Event&)> on_event;
    std::function<void(const Error&)> on_close;
  };
  virtual ~EventStream() = default;
};

class Engine {
 public:
  /// The code of an Error: "ENGINE" (cannot be reached, broke off), "TIMEOUT", "BUSY" (queue full).
  using Callback = std::function<void(Expected<Answer>)>;

  Engine(io::Loop& loop, std::string socket_path);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// The callback runs later, never from inside this call.
  void request(Request request, Callback callback);
  /// Container and network events from now on.
  std::unique_ptr<EventStream> follow_events(EventStream::Callbacks callbacks);
  const std::string& socket_path() const { return path_; }

 private:
  struct State;
  class Exchange;

  io::Loop& loop_;
  std::string path_;
  std::shared_ptr<State> state_;
};

/// For query values and path segments (RFC 3986 unreserved characters stay).
std::string percent_encode(std::string_view text);
/// One line of the events stream.
Expected<Event> parse_event(std::string_view json);

}  // namespace hg::docker
