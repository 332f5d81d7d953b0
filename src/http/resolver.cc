#include "http/resolver.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <initializer_list>

#include "base/log.h"
#include "http/host_header.h"
#include "io/socket_address.h"

namespace hg::http {

namespace json = boost::json;
using tunnel::ServiceFlow;

namespace {

constexpr Duration kSweepInterval = 15s;
constexpr Duration kClosedLife = 120s;
constexpr Duration kBeyondIdle = 60s;
constexpr size_t kMaxHeaderBytes = 1024;

std::string key_of(std::string_view protocol, std::string_view remote_ip, std::string_view remote_port, std::string_view server_ip,
                   std::string_view server_port) {
  return fmt::format("{}|{}|{}|{}|{}", protocol, remote_ip, remote_port, server_ip, server_port);
}

/// One spelling for each address; what is no address stays as it is and is not found.
std::string canonical(const std::string& ip) {
  const auto address = io::SocketAddress::parse(ip, 0);
  return address ? address->canonical_host() : ip;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string first_of(const std::map<std::string, std::string>& query, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = query.find(name);
    if (found != query.end() && !found->second.empty()) return found->second;
  }
  return {};
}

/// Only what may stand in a header: a gateway's peer wrote it.
std::string header_text(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMaxHeaderBytes)) {
    if (c >= ' ' && c <= '~') out.push_back(c);
  }
  return out;
}

json::value parse_fingerprint(const ServiceFlow& flow) {
  boost::system::error_code failure;
  json::value parsed = json::parse(flow.fingerprint, failure);
  if (failure || !parsed.is_object()) return nullptr;
  parsed.get_object().erase("hg");  // between our own peers
  return parsed;
}

void add_client_headers(const json::value& fingerprint, Response& response) {
  const json::object* object = fingerprint.if_object();
  const json::value* source = object == nullptr ? nullptr : object->if_contains("source");
  if (source == nullptr || !source->is_object()) return;
  if (const json::value* ip = source->get_object().if_contains("ip"); ip != nullptr && ip->is_string())
    response.headers["X-Client-IP"] = header_text(ip->get_string());
  if (const json::value* port = source->get_object().if_contains("port"); port != nullptr && port->is_number())
    response.headers["X-Client-Port"] = json::serialize(*port);
  const json::value* labels = object->if_contains("ingressLabels");
  if (labels == nullptr || !labels->is_array()) return;
  std::string joined;
  for (const json::value& label : labels->get_array()) {
    if (!label.is_string()) continue;
    if (!joined.empty()) joined += ',';
    joined += label.get_string();
  }
  response.headers["X-Ingress-Labels"] = header_text(joined);
}

}  // namespace

Resolver::Resolver(Runtime& runtime, const tunnel::Limits& limits, std::string credentials)
    : runtime_(runtime), limits_(limits), credentials_(std::move(credentials)), sweep_timer_(runtime.timers(), [this] { sweep(); }) {
  sweep_timer_.arm(runtime_.now() + kSweepInterval);
}

void Resolver::on_service_flow(std::shared_ptr<ServiceFlow> flow) {
  std::string key = key_of(tunnel::protocol_name(flow->protocol), flow->remote_ip, std::to_string(flow->remote_port), flow->server_ip,
                           std::to_string(flow->server_port));
  if (const auto found = index_.find(key); found != index_.end()) erase(found->second);  // the port is used again
  if (records_.size() >= kMaxRecords) erase(records_.begin());
  const auto record = records_.insert(records_.end(), {key, std::move(flow)});
  index_.emplace(std::move(key), record);
}

void Resolver::erase(Records::iterator record) {
  index_.erase(record->key);
  records_.erase(record);
}

TimePoint Resolver::expiry(const ServiceFlow& flow) const {
  if (!flow.open) return flow.last_traffic + kClosedLife;
  const Duration idle = flow.protocol == tunnel::Protocol::kUdp ? limits_.udp_socket_timeout : limits_.tcp_socket_timeout;
  return flow.last_traffic + std::max<Duration>(idle + kBeyondIdle, kClosedLife);
}

void Resolver::sweep() {
  const TimePoint now = runtime_.now();
  for (auto record = records_.begin(); record != records_.end();) {
    const auto next = std::next(record);
    if (!record->flow->open && expiry(*record->flow) <= now) erase(record);
    record = next;
  }
  sweep_timer_.arm(now + kSweepInterval);
}

std::string Resolver::describe(const Record& record) const {
  const ServiceFlow& flow = *record.flow;
  json::object out;
  out["key"] = record.key;
  out["protocol"] = tunnel::protocol_name(flow.protocol);
  out["gatePort"] = flow.gate_port;
  out["channelPort"] = flow.channel;
  out["fingerprint"] = parse_fingerprint(flow);
  out["createdAt"] = flow.created_at_ms;
  out["expiresAt"] = runtime_.wall_ms() + to_ms(expiry(flow) - runtime_.now());
  return json::serialize(out);
}

Response Resolver::answer(const Request& request, const io::SocketAddress& listener) {
  const Target target = parse_target(request.target);
  const bool known = target.path == "/health" || target.path == "/resolve" || target.path == "/all";
  if (request.method != "GET") return wrong_method(R"({"error":"method_not_allowed"})", "GET");
  if (target.path == "/health") return json_response(200, R"({"ok":true})");
  if (!credentials_.empty() && !has_basic_auth(request, credentials_)) {
    Response response = json_response(401, R"({"error":"unauthorized"})");
    response.headers["WWW-Authenticate"] = R"(Basic realm="hypergate")";
    return response;
  }
  if (credentials_.empty() && is_loopback(listener) && !is_asked_by_own_name(request)) return refuse_name();
  if (!known) return json_response(404, R"({"error":"not_found"})");
  return target.path == "/all" ? all() : resolve(target);
}

Response Resolver::refuse_name() {
  constexpr const char* kNotice =
      "fingerprint resolver: a request by a public name is refused without a password; a proxy can set Host to localhost";
  if (notices_.due(kNotice, runtime_.now())) HG_LOG(kWarn, "http", "{}", kNotice);
  return json_response(403, json::serialize(json::object{{"error", kAskByAddress}}));
}

Response Resolver::resolve(const Target& target) const {
  std::string protocol = lower(first_of(target.query, {"proto", "protocol"}));
  if (protocol.empty()) protocol = "tcp";
  const std::string remote_ip = first_of(target.query, {"remote_addr", "remoteAddr"});
  const std::string remote_port = first_of(target.query, {"remote_port", "remotePort"});
  const std::string server_ip = first_of(target.query, {"server_addr", "serverAddr", "local_addr", "localAddr"});
  const std::string server_port = first_of(target.query, {"server_port", "serverPort", "local_port", "localPort"});
  if (remote_ip.empty() || remote_port.empty() || server_ip.empty() || server_port.empty())
    return json_response(400, R"({"error":"missing_tuple_params"})");
  const std::string key = key_of(protocol, canonical(remote_ip), remote_port, canonical(server_ip), server_port);
  const auto found = index_.find(key);
  if (found == index_.end() || expiry(*found->second->flow) <= runtime_.now())
    return json_response(404, json::serialize(json::object{{"error", "not_found"}, {"key", key}}));
  Response response = json_response(200, describe(*found->second));
  add_client_headers(parse_fingerprint(*found->second->flow), response);
  return response;
}

Response Resolver::all() const {
  std::string body = "[";
  for (const Record& record : records_) {
    if (expiry(*record.flow) <= runtime_.now()) continue;
    if (body.size() > 1) body += ',';
    body += describe(record);
  }
  return json_response(200, body + ']');
}

}  // namespace hg::http
