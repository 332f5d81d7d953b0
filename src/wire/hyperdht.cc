#include "wire/hyperdht.h"

namespace hg::wire {
namespace {

constexpr size_t kRelayInfoBytes = 2 * kEndpointBytes;
constexpr size_t kMinPeerBytes = 32 + 1;

// noisePayload
constexpr uint64_t kHasHolepunch = 1;
constexpr uint64_t kHasAddresses4 = 2;
constexpr uint64_t kHasAddresses6 = 4;
constexpr uint64_t kHasUdx = 8;
constexpr uint64_t kHasSecretStream = 16;
constexpr uint64_t kHasRelayThrough = 32;
constexpr uint64_t kHasRelayAddresses = 64;
constexpr uint64_t kHasMove = 1 << 16;  // ours, far from the reference's
constexpr uint64_t kHasPairToken = 1 << 17;
// holepunchPayload
constexpr uint64_t kConnected = 1;
constexpr uint64_t kPunching = 2;
constexpr uint64_t kHasAddresses = 4;
constexpr uint64_t kHasRemoteAddress = 8;
constexpr uint64_t kHasToken = 16;
constexpr uint64_t kHasRemoteToken = 32;
// announce
constexpr uint64_t kHasPeer = 1;
constexpr uint64_t kHasRefresh = 2;
constexpr uint64_t kHasSignature = 4;
constexpr uint64_t kHasBump = 8;
constexpr uint64_t kReusableSocket = 1;

void put(Encoder& e, const Peer& m) {
  e.raw(m.public_key);
  e.endpoints(m.relay_addresses);
}

Peer get_peer(Decoder& d) {
  Peer m;
  m.public_key = d.fixed<32>();
  m.relay_addresses = d.endpoints();
  return m;
}

void put(Encoder& e, const HolepunchInfo& m) {
  e.uint(m.id);
  e.uint(m.relays.size());
  for (const RelayInfo& relay : m.relays) {
    e.endpoint(relay.relay_address);
    e.endpoint(relay.peer_address);
  }
}

HolepunchInfo get_holepunch_info(Decoder& d) {
  HolepunchInfo m;
  m.id = d.uint();
  const size_t n = d.count(kRelayInfoBytes);
  m.relays.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    RelayInfo relay;
    relay.relay_address = d.endpoint();
    relay.peer_address = d.endpoint();
    m.relays.push_back(relay);
  }
  return m;
}

void put(Encoder& e, const UdxInfo& m) {
  e.uint(m.version);
  e.uint(m.reusable_socket ? kReusableSocket : 0);
  e.uint(m.id);
  e.uint(m.seq);
}

UdxInfo get_udx_info(Decoder& d) {
  UdxInfo m;
  m.version = d.uint();
  m.reusable_socket = (d.uint() & kReusableSocket) != 0;
  m.id = d.uint();
  m.seq = d.uint();
  return m;
}

void put(Encoder& e, const RelayThrough& m) {
  e.uint(m.version);
  e.uint(0);  // flags
  e.raw(m.public_key);
  e.raw(m.token);
}

RelayThrough get_relay_through(Decoder& d) {
  RelayThrough m;
  m.version = d.uint();
  d.uint();  // flags
  m.public_key = d.fixed<32>();
  m.token = d.fixed<32>();
  return m;
}

/// The message if everything in it was there.
template <class Message>
std::optional<Message> checked(const Decoder& d, Message&& m) {
  if (!d.ok()) return std::nullopt;
  return std::forward<Message>(m);
}

}  // namespace

Bytes encode(const Handshake& m) {
  Encoder e;
  e.uint((m.peer_address ? 1 : 0) | (m.relay_address ? 2 : 0));
  e.uint(m.mode);
  e.buffer(m.noise);
  if (m.peer_address) e.endpoint(*m.peer_address);
  if (m.relay_address) e.endpoint(*m.relay_address);
  return e.take();
}

std::optional<Handshake> decode_handshake(ByteView in) {
  Decoder d(in);
  Handshake m;
  const uint64_t flags = d.uint();
  m.mode = d.uint();
  m.noise = to_bytes(d.buffer());
  if (flags & 1) m.peer_address = d.endpoint();
  if (flags & 2) m.relay_address = d.endpoint();
  return checked(d, std::move(m));
}

Bytes encode(const Holepunch& m) {
  Encoder e;
  e.uint(m.peer_address ? 1 : 0);
  e.uint(m.mode);
  e.uint(m.id);
  e.buffer(m.payload);
  if (m.peer_address) e.endpoint(*m.peer_address);
  return e.take();
}

std::optional<Holepunch> decode_holepunch(ByteView in) {
  Decoder d(in);
  Holepunch m;
  const uint64_t flags = d.uint();
  m.mode = d.uint();
  m.id = d.uint();
  m.payload = to_bytes(d.buffer());
  if (flags & 1) m.peer_address = d.endpoint();
  return checked(d, std::move(m));
}

Bytes encode(const NoisePayload& m) {
  Encoder e;
  e.uint(m.version);
  e.uint((m.holepunch ? kHasHolepunch : 0) | (m.addresses4.empty() ? 0 : kHasAddresses4) | (m.addresses6.empty() ? 0 : kHasAddresses6) |
         (m.udx ? kHasUdx : 0) | (m.secret_stream ? kHasSecretStream : 0) | (m.relay_through ? kHasRelayThrough : 0) |
         (m.relay_addresses ? kHasRelayAddresses : 0) | (m.move ? kHasMove : 0) | (m.move && m.move->pair_token ? kHasPairToken : 0));
  e.uint(m.error);
  e.uint(m.firewall);
  if (m.holepunch) put(e, *m.holepunch);
  if (!m.addresses4.empty()) e.endpoints(m.addresses4);
  if (!m.addresses6.empty()) e.endpoints6(m.addresses6);
  if (m.udx) put(e, *m.udx);
  if (m.secret_stream) e.uint(m.secret_stream->version);
  if (m.relay_through) put(e, *m.relay_through);
  if (m.relay_addresses) e.endpoints(*m.relay_addresses);
  if (m.move) {
    e.raw(m.move->session);
    e.uint(m.move->udx_id);
    if (m.move->pair_token) e.raw(*m.move->pair_token);
  }
  return e.take();
}

std::optional<NoisePayload> decode_noise_payload(ByteView in) {
  Decoder d(in);
  NoisePayload m;
  m.version = d.uint();
  if (m.version != 1) return checked(d, std::move(m));
  const uint64_t flags = d.uint();
  m.error = d.uint();
  m.firewall = d.uint();
  if (flags & kHasHolepunch) m.holepunch = get_holepunch_info(d);
  if (flags & kHasAddresses4) m.addresses4 = d.endpoints();
  if (flags & kHasAddresses6) m.addresses6 = d.endpoints6();
  if (flags & kHasUdx) m.udx = get_udx_info(d);
  if (flags & kHasSecretStream) m.secret_stream = SecretStreamInfo{d.uint()};
  if (flags & kHasRelayThrough) m.relay_through = get_relay_through(d);
  if (flags & kHasRelayAddresses) m.relay_addresses = d.endpoints();
  if (flags & kHasMove) {
    m.move.emplace();
    m.move->session = d.fixed<32>();
    m.move->udx_id = d.uint();
    if (flags & kHasPairToken) m.move->pair_token = d.fixed<32>();
  }
  return checked(d, std::move(m));
}

Bytes encode(const HolepunchPayload& m) {
  Encoder e;
  e.uint((m.connected ? kConnected : 0) | (m.punching ? kPunching : 0) | (m.addresses ? kHasAddresses : 0) |
         (m.remote_address ? kHasRemoteAddress : 0) | (m.token ? kHasToken : 0) | (m.remote_token ? kHasRemoteToken : 0));
  e.uint(m.error);
  e.uint(m.firewall);
  e.uint(m.round);
  if (m.addresses) e.endpoints(*m.addresses);
  if (m.remote_address) e.endpoint(*m.remote_address);
  if (m.token) e.raw(*m.token);
  if (m.remote_token) e.raw(*m.remote_token);
  return e.take();
}

std::optional<HolepunchPayload> decode_holepunch_payload(ByteView in) {
  Decoder d(in);
  HolepunchPayload m;
  const uint64_t flags = d.uint();
  m.error = d.uint();
  m.firewall = d.uint();
  m.round = d.uint();
  m.connected = (flags & kConnected) != 0;
  m.punching = (flags & kPunching) != 0;
  if (flags & kHasAddresses) m.addresses = d.endpoints();
  if (flags & kHasRemoteAddress) m.remote_address = d.endpoint();
  if (flags & kHasToken) m.token = d.fixed<32>();
  if (flags & kHasRemoteToken) m.remote_token = d.fixed<32>();
  return checked(d, std::move(m));
}

Bytes encode(const Peer& m) {
  Encoder e;
  put(e, m);
  return e.take();
}

std::optional<Peer> decode_peer(ByteView in) {
  Decoder d(in);
  Peer m = get_peer(d);
  return checked(d, std::move(m));
}

Bytes encode(const LookupReply& m) {
  std::vector<Bytes> records;
  records.reserve(m.peers.size());
  for (const Peer& peer : m.peers) records.push_back(encode(peer));
  return encode_lookup_reply(records, m.bump);
}

Bytes encode_lookup_reply(std::span<const Bytes> peers, uint64_t bump) {
  Encoder e;
  e.uint(peers.size());
  for (const Bytes& peer : peers) e.raw(peer);
  e.uint(bump);
  return e.take();
}

std::optional<LookupReply> decode_lookup_reply(ByteView in) {
  Decoder d(in);
  LookupReply m;
  const size_t n = d.count(kMinPeerBytes);
  m.peers.reserve(n);
  for (size_t i = 0; i < n && d.ok(); ++i) m.peers.push_back(get_peer(d));
  if (d.remaining() > 0) m.bump = d.uint();
  return checked(d, std::move(m));
}

Bytes encode(const Announce& m) {
  Encoder e;
  e.uint((m.peer ? kHasPeer : 0) | (m.refresh ? kHasRefresh : 0) | (m.signature ? kHasSignature : 0) | (m.bump != 0 ? kHasBump : 0));
  if (m.peer) put(e, *m.peer);
  if (m.refresh) e.raw(*m.refresh);
  if (m.signature) e.raw(*m.signature);
  if (m.bump != 0) e.uint(m.bump);
  return e.take();
}

std::optional<Announce> decode_announce(ByteView in) {
  Decoder d(in);
  Announce m;
  const uint64_t flags = d.uint();
  if (flags & kHasPeer) m.peer = get_peer(d);
  if (flags & kHasRefresh) m.refresh = d.fixed<32>();
  if (flags & kHasSignature) m.signature = d.fixed<64>();
  if (flags & kHasBump) m.bump = d.uint();
  return checked(d, std::move(m));
}

Bytes encode(const MutableSignable& m) {
  Encoder e;
  e.uint(m.seq);
  e.buffer(m.value);
  return e.take();
}

std::optional<MutableSignable> decode_mutable_signable(ByteView in) {
  Decoder d(in);
  MutableSignable m;
  m.seq = d.uint();
  m.value = to_bytes(d.buffer());
  return checked(d, std::move(m));
}

Bytes encode(const MutablePut& m) {
  Encoder e;
  e.raw(m.public_key);
  e.uint(m.seq);
  e.buffer(m.value);
  e.raw(m.signature);
  return e.take();
}

std::optional<MutablePut> decode_mutable_put(ByteView in) {
  Decoder d(in);
  MutablePut m;
  m.public_key = d.fixed<32>();
  m.seq = d.uint();
  m.value = to_bytes(d.buffer());
  m.signature = d.fixed<64>();
  return checked(d, std::move(m));
}

Bytes encode(const MutableRecord& m) {
  Encoder e;
  e.uint(m.seq);
  e.buffer(m.value);
  e.raw(m.signature);
  return e.take();
}

std::optional<MutableRecord> decode_mutable_record(ByteView in) {
  Decoder d(in);
  MutableRecord m;
  m.seq = d.uint();
  m.value = to_bytes(d.buffer());
  m.signature = d.fixed<64>();
  return checked(d, std::move(m));
}

Bytes encode(const PluginRequest& m) {
  Encoder e;
  e.string(m.plugin);
  e.uint(m.version);
  e.uint(m.command);
  e.uint(m.value ? 1 : 0);
  if (m.value) e.buffer(*m.value);
  return e.take();
}

std::optional<PluginRequest> decode_plugin_request(ByteView in) {
  Decoder d(in);
  PluginRequest m;
  m.plugin = std::string(d.string());
  m.version = d.uint();
  m.command = d.uint();
  if (d.uint() & 1) m.value = to_bytes(d.buffer());
  return checked(d, std::move(m));
}

Bytes encode_uint(uint64_t value) {
  Encoder e;
  e.uint(value);
  return e.take();
}

std::optional<uint64_t> decode_uint(ByteView in) {
  Decoder d(in);
  const uint64_t value = d.uint();
  return checked(d, uint64_t{value});
}

ByteArray<kEndpointBytes> encode_endpoint(const Endpoint& value) {
  Encoder e;
  e.endpoint(value);
  ByteArray<kEndpointBytes> out;
  std::memcpy(out.data(), e.view().data(), out.size());
  return out;
}

}  // namespace hg::wire
