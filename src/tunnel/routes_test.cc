#include "tunnel/routes.h"

#include <gtest/gtest.h>

#include "tunnel/route_table.h"

namespace hg::tunnel {
namespace {

const TimePoint kStart{1h};

PublicKey key(uint8_t fill) {
  PublicKey k;
  k.fill(fill);
  return k;
}

Service tcp(uint16_t gate, std::string host = "web", std::string tags = {}) {
  return {gate, std::move(host), 80, Protocol::kTcp, std::move(tags), {}};
}

Advertisement offer(std::vector<Service> services) {
  Advertisement made;
  made.routes = std::move(services);
  return made;
}

TEST(Advertisement, RoundTripsWithFeatures) {
  std::vector<Service> services = {tcp(8080),
                                   {53, "dns.local", 5353, Protocol::kUdp, "docker published", R"({"defaults":{"allow":false}})"}};
  const std::string text = encode_advertisement(services, {.flow = true, .big_datagrams = true, .unordered_datagrams = true});
  const auto decoded = decode_advertisement(text);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(services, decoded->routes);
  EXPECT_TRUE(decoded->features.flow);
  EXPECT_TRUE(decoded->features.big_datagrams);
  EXPECT_TRUE(decoded->features.unordered_datagrams);
  EXPECT_EQ(0u, decoded->skipped);
}

TEST(Advertisement, NamesTheRelayKeyAndIgnoresWhatIsNone) {
  const std::string text = encode_advertisement({}, {}, key(7));
  EXPECT_EQ(R"({"routes":[],"relay":")" + to_hex(key(7)) + R"("})", text);
  const auto decoded = decode_advertisement(text);
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(decoded->routes.empty());
  EXPECT_EQ(key(7), decoded->relay);
  for (const char* other : {R"({"routes":[]})", R"({"routes":[],"relay":7})", R"({"routes":[],"relay":"07"})"}) {
    const auto without = decode_advertisement(other);
    ASSERT_TRUE(without);
    EXPECT_FALSE(without->relay) << other;
  }
}

TEST(Advertisement, SkipsWhatDoesNotFitAndIgnoresUnknownKeys) {
  const auto decoded = decode_advertisement(R"({"later":1,"features":["x",5],"routes":[
    {"gatePort":8080,"serviceHost":"a","servicePort":1,"protocol":0,"more":true},
    {"gatePort":0,"serviceHost":"a"}, {"gatePort":65536,"serviceHost":"a"}, {"serviceHost":"a"}, {"gatePort":1}, 7,
    {"gatePort":81,"serviceHost":"a","protocol":9},
    {"gatePort":82,"serviceHost":"a","ingressPolicy":{"ips":{"nonsense":{}}}}]})");
  ASSERT_TRUE(decoded);
  EXPECT_EQ(1u, decoded->routes.size());
  EXPECT_EQ(7u, decoded->skipped);
  EXPECT_EQ("its gatePort is none", decoded->why_skipped);
  EXPECT_FALSE(decoded->features.flow);
  for (const char* bad : {"", "[]", "{}", R"({"routes":{}})", "{\"routes\":[}", "\xff"}) EXPECT_FALSE(decode_advertisement(bad)) << bad;
}

// A TypeScript provider's policy with somebody's notes in it: TypeScript gateways pass over them.
TEST(Advertisement, APolicyMayHaveKeysThatItsRulesDoNotKnow) {
  const auto decoded = decode_advertisement(R"({"routes":[{"gatePort":80,"serviceHost":"a","servicePort":1,"protocol":0,"routes":[],
    "ingressPolicy":{"version":2,"ips":{"192.0.2.1":{"allow":false,"comment":"a stranger"}}}}]})");
  ASSERT_TRUE(decoded);
  ASSERT_EQ(1u, decoded->routes.size()) << decoded->why_skipped;
  RouteTable table({}, 2min);
  table.update(key(1), *decoded, kStart);
  const auto pick = table.pick({80, Protocol::kTcp}, kStart, {});
  ASSERT_TRUE(pick && pick->policy);
  const IngressRule* rule = pick->policy->match("192.0.2.1", 80, Protocol::kTcp, 0);
  ASSERT_NE(nullptr, rule);
  EXPECT_FALSE(rule->allow);
}

TEST(Advertisement, SaysWhichPolicyCannotBeRead) {
  const auto decoded = decode_advertisement(
      R"({"routes":[{"gatePort":80,"serviceHost":"a","ingressPolicy":{"ips":{"192.0.2.1":{"bandwidthLimit":{"mbps":"10"}}}}}]})");
  ASSERT_TRUE(decoded);
  EXPECT_EQ(1u, decoded->skipped);
  EXPECT_NE(std::string::npos, decoded->why_skipped.find(R"($.ips["192.0.2.1"].bandwidthLimit)")) << decoded->why_skipped;
  const auto odd = decode_advertisement(R"({"routes":[{"gatePort":80,"serviceHost":"a","ingressPolicy":{"ips":{"\u001b[2J\u00e9":{}}}}]})");
  EXPECT_NE(std::string::npos, odd->why_skipped.find(R"($.ips["?[2J??"])")) << odd->why_skipped;
}

TEST(Advertisement, ServicesBeyondTheBoundAreLeftOutAndTheRestKeepsItsPolicy) {
  const std::string policy = R"({"ips":{"192.0.2.1":{"allow":false}}})";
  std::vector<Service> services;
  for (uint16_t port = 1; port <= 100; ++port) services.push_back(tcp(port));
  services[0].ingress_policy = R"({"ips":{"192.0.2.2":{"labels":["own"]}}})";
  const auto whole = fit_advertisement(services, policy, {.flow = true, .big_datagrams = true});
  EXPECT_EQ(0u, whole.left_out);
  for (const size_t most : {whole.body.size(), whole.body.size() - 1, size_t{1000}, size_t{10}}) {
    const auto fitted = fit_advertisement(services, policy, {.flow = true, .big_datagrams = true}, {}, most);
    const auto decoded = decode_advertisement(fitted.body);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(services.size(), decoded->routes.size() + fitted.left_out);
    EXPECT_TRUE(decoded->features.flow);
    if (!decoded->routes.empty()) {
      EXPECT_LE(fitted.body.size(), most);
      EXPECT_EQ(R"({"ips":{"192.0.2.2":{"labels":["own"],"allow":true},"192.0.2.1":{"allow":false}}})", decoded->routes[0].ingress_policy);
    }
    for (size_t i = 1; i < decoded->routes.size(); ++i) EXPECT_EQ(policy, decoded->routes[i].ingress_policy);
  }
  services[1].ingress_policy = "broken";
  const auto closed = decode_advertisement(fit_advertisement(services, policy, {}).body);
  EXPECT_EQ(R"({"defaults":{"allow":false}})", closed->routes.at(1).ingress_policy);
}

// TypeScript gateways turn away whom a matching rule does not name allowed, and read no other form of ports and protocols.
TEST(Advertisement, PoliciesAreSpelledForTypeScriptGateways) {
  Service service = tcp(80);
  service.ingress_policy = R"({"defaults":{"bandwidthLimit":{"mbps":1}},"ips":{"192.0.2.1":{"labels":["a"],"onlyPorts":{"from":1,"to":9},
    "excludePorts":[{"from":3,"to":4}],"onlyProtocols":"TCP","excludeProtocols":[1]},"192.0.2.2":{"allow":false,"onlyPorts":[[1,2],[4,5]]}}})";
  const auto decoded = decode_advertisement(fit_advertisement(std::vector{service}, {}, {}).body);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(R"({"defaults":{"bandwidthLimit":{"mbps":1},"allow":true},"ips":{"192.0.2.1":{"labels":["a"],"onlyPorts":[1,9],)"
            R"("excludePorts":[3,4],"onlyProtocols":["tcp"],"excludeProtocols":["udp"],"allow":true},)"
            R"("192.0.2.2":{"allow":false,"onlyPorts":[[1,2],[4,5]]}}})",
            decoded->routes.at(0).ingress_policy);
}

TEST(RouteTable, FirstServiceKeepsTheGateWhileItLives) {
  RouteTable table({}, 2min);
  EXPECT_TRUE(table.update(key(1), offer({tcp(80, "one")}), kStart));
  EXPECT_TRUE(table.update(key(2), offer({tcp(80, "two")}), kStart));
  ASSERT_EQ(1u, table.gates().size());
  EXPECT_EQ("one", table.gates()[0].service_host);
  EXPECT_EQ(std::vector<std::string>{"two"}, table.gates()[0].conflicts);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(key(1), table.pick({80, Protocol::kTcp}, kStart, {})->provider);
  EXPECT_TRUE(table.remove_provider(key(1)));
  EXPECT_EQ("two", table.gates()[0].service_host);
  EXPECT_EQ(key(2), table.pick({80, Protocol::kTcp}, kStart, {})->provider);
  EXPECT_TRUE(table.remove_provider(key(2)));
  EXPECT_TRUE(table.gates().empty());
  EXPECT_EQ(0u, table.size());
}

TEST(RouteTable, ProtocolsOnOnePortDoNotMix) {
  RouteTable table({}, 2min);
  table.update(key(1), offer({tcp(53)}), kStart);
  Service udp = tcp(53);
  udp.protocol = Protocol::kUdp;
  table.update(key(2), offer({udp}), kStart);
  EXPECT_EQ(2u, table.gates().size());
  EXPECT_EQ(key(1), table.pick({53, Protocol::kTcp}, kStart, {})->provider);
  EXPECT_EQ(key(2), table.pick({53, Protocol::kUdp}, kStart, {})->provider);
}

TEST(RouteTable, RoutesExpireUnlessAdvertisedAgain) {
  RouteTable table({}, 2min);
  table.update(key(1), offer({tcp(80)}), kStart);
  table.update(key(2), offer({tcp(80)}), kStart);
  table.refresh(key(1), kStart + 1min);
  EXPECT_TRUE(table.expire(kStart + 2min));
  ASSERT_EQ(1u, table.gates().size());
  EXPECT_EQ(std::vector<PublicKey>{key(1)}, table.gates()[0].providers);
  EXPECT_TRUE(table.expire(kStart + 3min));
  EXPECT_TRUE(table.gates().empty());
}

TEST(RouteTable, WithdrawnRoutesGo) {
  RouteTable table({}, 2min);
  table.update(key(1), offer({tcp(80), tcp(81)}), kStart);
  EXPECT_TRUE(table.update(key(1), offer({tcp(81)}), kStart));
  ASSERT_EQ(1u, table.gates().size());
  EXPECT_EQ(81, table.gates()[0].key.port);
  EXPECT_FALSE(table.update(key(1), offer({tcp(81)}), kStart));
  EXPECT_TRUE(table.update(key(1), offer({}), kStart));
  EXPECT_TRUE(table.gates().empty());
}

TEST(RouteTable, SharesTheLoadAndGivesSlowProvidersLess) {
  RouteTable table({}, 2min);
  const GateKey gate{80, Protocol::kTcp};
  table.update(key(1), offer({tcp(80)}), kStart);
  table.update(key(2), offer({tcp(80, "web", "other tags")}), kStart);
  std::map<PublicKey, int> turns;
  for (int i = 0; i < 100; ++i) ++turns[table.pick(gate, kStart, {})->provider];
  EXPECT_EQ(50, turns[key(1)]);
  EXPECT_EQ(50, turns[key(2)]);
  for (int i = 0; i < 40; ++i) table.open_succeeded(gate, key(2), 300ms);
  turns.clear();
  for (int i = 0; i < 100; ++i) ++turns[table.pick(gate, kStart, {})->provider];
  EXPECT_GT(turns[key(1)], 80);
  EXPECT_GT(turns[key(2)], 5);
}

TEST(RouteTable, AProviderThatComesLaterSharesTheLoadWhateverItsTags) {
  RouteTable table({}, 2min);
  const GateKey gate{80, Protocol::kTcp};
  table.update(key(1), offer({tcp(80)}), kStart);
  for (int i = 0; i < 10'000; ++i) table.pick(gate, kStart, {});
  table.update(key(2), offer({tcp(80, "web", "other tags")}), kStart);
  std::map<PublicKey, int> turns;
  for (int i = 0; i < 100; ++i) ++turns[table.pick(gate, kStart, {})->provider];
  EXPECT_EQ(50, turns[key(1)]);
  EXPECT_EQ(50, turns[key(2)]);
}

TEST(RouteTable, AFullOneTakesNoNewRoutesButWhatChangesOfThoseItHas) {
  RouteTable table({}, 2min);
  std::vector<Service> services;
  for (size_t port = 1; port <= kMaxServices; ++port) services.push_back(tcp(static_cast<uint16_t>(port)));
  for (uint8_t provider = 1; table.size() < RouteTable::kMaxRoutes; ++provider) table.update(key(provider), offer(services), kStart);
  table.update(key(200), offer({tcp(60'000)}), kStart);
  EXPECT_EQ(RouteTable::kMaxRoutes, table.size());
  EXPECT_FALSE(table.has({60'000, Protocol::kTcp}));
  for (Service& service : services) service.ingress_policy = R"({"defaults":{"allow":false}})";
  table.update(key(1), offer(services), kStart);
  const auto policy = table.policy_of({80, Protocol::kTcp}, "web", key(1));
  ASSERT_TRUE(policy);
  EXPECT_NE(nullptr, *policy);
}

TEST(RouteTable, PassesOverAProviderThatJustFailedUnlessItIsTheOnlyOne) {
  RouteTable table({}, 2min);
  const GateKey gate{80, Protocol::kTcp};
  table.update(key(1), offer({tcp(80)}), kStart);
  table.update(key(2), offer({tcp(80)}), kStart);
  table.open_failed(gate, key(1), kStart);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(key(2), table.pick(gate, kStart, {})->provider);
  EXPECT_FALSE(table.has_healthy(gate, kStart, std::vector{key(2)}));
  EXPECT_EQ(key(1), table.pick(gate, kStart, std::vector{key(2)})->provider);
  EXPECT_TRUE(table.has_healthy(gate, kStart + 1s, std::vector{key(2)}));
  EXPECT_FALSE(table.pick(gate, kStart, std::vector{key(1), key(2)}));
}

TEST(RouteTable, BusyProvidersArePassedOver) {
  RouteTable table({}, 2min);
  const GateKey gate{80, Protocol::kTcp};
  table.update(key(1), offer({tcp(80)}), kStart);
  table.update(key(2), offer({tcp(80)}), kStart);
  for (int i = 0; i < 20; ++i) table.open_started(gate, key(1));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(key(2), table.pick(gate, kStart, {})->provider);
}

TEST(GateFilter, AnyMatchPassesAndExposeOnlyAlwaysApplies) {
  const auto parsed = parse_gate_matches(R"([{"gatePort":8080},{"serviceHost":"db","protocol":"tcp","tags":"docker"}])", "filter");
  ASSERT_TRUE(parsed);
  GateFilter filter;
  filter.any_of = *parsed;
  EXPECT_TRUE(filter.passes(tcp(8080, "x")));
  EXPECT_TRUE(filter.passes(tcp(1, "db", "docker published")));
  EXPECT_FALSE(filter.passes(tcp(1, "db")));
  EXPECT_FALSE(filter.passes(tcp(1, "x")));
  filter.only_services = {"db"};
  EXPECT_FALSE(filter.passes(tcp(8080, "x")));
  EXPECT_TRUE(filter.passes(tcp(8080, "db")));

  GateFilter only;
  only.only_published = true;
  EXPECT_FALSE(only.passes(tcp(1, "x", "docker")));
  EXPECT_TRUE(only.passes(tcp(1, "x", "docker published")));
  only.only_published = false;
  only.only_docker = true;
  EXPECT_FALSE(only.passes(tcp(1, "x", "dockers")));
  EXPECT_TRUE(only.passes(tcp(1, "x", "a docker")));
}

TEST(GateFilter, FaultsNameTheirPlace) {
  for (const auto& [text, part] :
       std::vector<std::pair<const char*, const char*>>{{R"([{"gatePort":"x"}])", "$[0].gatePort"},
                                                        {R"({"services":[{"protocol":"icmp"}]})", "$.services[0].protocol"},
                                                        {R"({"a":1})", "$"},
                                                        {R"([{"gateport":1}])", "$[0].gateport"}}) {
    const auto parsed = parse_gate_matches(text, "gates.json");
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(std::string::npos, parsed.error().message.find(std::string("gates.json: ") + part)) << parsed.error().message;
  }
}

TEST(Services, BothFormsAreAccepted) {
  for (const char* text : {R"([{"gatePort":8080,"serviceHost":"127.0.0.1","servicePort":80,"protocol":"tcp"}])",
                           R"({"services":[{"gatePort":8080,"servicePort":80,"$comment":"x","desc":"y"}]})"}) {
    const auto services = parse_services(text, "s.json");
    ASSERT_TRUE(services) << services.error().message;
    ASSERT_EQ(1u, services->size());
    EXPECT_EQ((Service{8080, "127.0.0.1", 80, Protocol::kTcp, {}, {}}), services->front());
  }
  const auto short_form = parse_services(R"([{"gatePort":53,"protocol":"UDP"}])", "s.json");
  ASSERT_TRUE(short_form);
  EXPECT_EQ(53, short_form->front().service_port);
  EXPECT_EQ(Protocol::kUdp, short_form->front().protocol);
}

TEST(Services, AFaultIsOneLineThatNamesFilePathValueAndWhatIsAccepted) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"[{]", "not JSON at line 1, column"},
      {"7", "s.json: $: 7"},
      {R"({"service":[]})", "s.json: $: "},
      {R"([5])", "s.json: $[0]: 5"},
      {R"([{"gatePort":70000}])", "s.json: $[0].gatePort: 70000 is not accepted; a whole number from 1 to 65535"},
      {R"([{"gatePort":80.5}])", "s.json: $[0].gatePort"},
      {R"([{"gatePort":80,"protocol":"sctp"}])", "\"sctp\" is not accepted; \"tcp\", \"udp\" or \"tcp+udp\""},
      {R"([{"gatePort":80,"serviceHost":""}])", "s.json: $[0].serviceHost"},
      {R"([{"gateport":80}])", "s.json: $[0].gateport"},
      {R"([{"protocol":"tcp"}])", "gatePort or servicePort must be given"},
      {R"([{"gatePort":80},{"gatePort":80}])", "s.json: $[1].gatePort: 80 (tcp)"},
      {R"([{"gatePort":80,"ingressPolicy":{"ips":{"10.0.0.0/40":{}}}}])", "10.0.0.0/40"},
  };
  for (const auto& [text, part] : cases) {
    const auto services = parse_services(text, "s.json");
    ASSERT_FALSE(services) << text;
    EXPECT_NE(std::string::npos, services.error().message.find(part)) << services.error().message;
    EXPECT_EQ(std::string::npos, services.error().message.find('\n'));
  }
}

}  // namespace
}  // namespace hg::tunnel
