#include "app/config.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

const std::string kSecret(64, 'a');

RawOptions raw(std::string verb, std::map<std::string, std::vector<std::string>> values) {
  return {std::move(verb), std::move(values), {}};
}

TEST(Config, GatewayWithDefaults) {
  const auto config = make_config(raw("gateway", {{"router", {kSecret}}}));
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->command, Command::kRun);
  EXPECT_TRUE(config->gateway);
  EXPECT_FALSE(config->provider);
  EXPECT_EQ(config->listen.host(), "127.0.0.1");
  EXPECT_EQ(config->limits.route_expiration, 120s);
}

TEST(Config, BothRolesInOneProcess) {
  const auto config = make_config(raw("", {{"router", {kSecret}}, {"provider", {"a.json", "b.json"}}, {"gateway", {""}}}));
  ASSERT_TRUE(config.ok());
  EXPECT_TRUE(config->gateway && config->provider);
  EXPECT_EQ(config->services, (std::vector<std::string>{"a.json", "b.json"}));
  EXPECT_TRUE(config->filters.empty());
}

// As YAML and Python write it, and the TypeScript program reads it.
TEST(Config, SwitchesAreReadInEitherCase) {
  const auto config = make_config(raw("gateway", {{"router", {kSecret}}, {"verbose", {"True"}}, {"noRelay", {"FALSE"}}}));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_TRUE(config->verbose);
  EXPECT_TRUE(config->relay);
}

// A compose file that names them, and a secret that may be empty.
TEST(Config, WhatTheEnvironmentSaysOfUnlimitedIsNothingWithoutASecret) {
  RawOptions options = raw("gateway", {{"router", {kSecret}}, {"unlimitedHost", {"127.0.0.1"}}, {"unlimitedPort", {"8091"}}});
  EXPECT_FALSE(make_config(options).ok());
  options.from_environment = {"unlimitedHost", "unlimitedPort"};
  const auto config = make_config(options);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_FALSE(config->endpoints.unlimited);
}

TEST(Config, AllDigitSecretIsASecret) { EXPECT_TRUE(make_config(raw("gateway", {{"router", {std::string(64, '7')}}})).ok()); }

TEST(Config, LimitsAreSetAndBounded) {
  const auto config = make_config(raw("gateway", {{"router", {kSecret}}, {"routeExpirationMs", {"5000"}}, {"maxBufferPerPeer", {"1000"}}}));
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->limits.route_expiration, 5s);
  EXPECT_EQ(config->limits.max_buffer_per_peer, 1000u);
  EXPECT_FALSE(make_config(raw("gateway", {{"router", {kSecret}}, {"routeExpirationMs", {"0"}}})).ok());
  EXPECT_FALSE(make_config(raw("gateway", {{"router", {kSecret}}, {"routeExpirationMs", {"99999999999999999999"}}})).ok());
}

TEST(Config, BootstrapLists) {
  const auto config =
      make_config(raw("gateway", {{"router", {kSecret}}, {"bootstrap", {"127.0.0.1:1, dht.example:2", "1.2.3.4@dht.example:3"}}}));
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->bootstrap, (std::vector<std::string>{"127.0.0.1:1", "dht.example:2", "1.2.3.4@dht.example:3"}));
  for (const char* bad : {"x", ":1", "host:", "host:70000", "1.2.3:5", "a b:1", "x@host:1", "1.2.3.4@host"})
    EXPECT_FALSE(parse_bootstrap_entry(bad).ok()) << bad;
}

TEST(Config, SecretsAreNeverRepeated) {
  const std::string bad = std::string(63, 'b') + "g";
  const auto result = parse_router_secret("--router", bad);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message.find(bad), std::string::npos);
  for (const std::string& other : {std::string(), std::string(63, '1'), std::string(65, '1'), " " + std::string(63, '1')})
    EXPECT_FALSE(parse_router_secret("--router", other).ok()) << other.size();
}

TEST(Config, NoValueThatMayBeASecretIsShown) {
  const std::string secret(64, 'b');
  const std::pair<const char*, std::vector<const char*>> options[] = {
      {"gateway",
       {"listen", "docker", "refreshTime", "bootstrap", "dhtPort", "exposeOnlyPublished", "noRelay", "relayBandwidth", "log", "verbose",
        "metrics", "unlimitedHost", "unlimitedPort", "unlimitedPublic", "ingressPolicyIntervalMs", "maxBufferPerPeer", "peerStaleMs"}},
      {"provider", {"fingerprintResolverHost", "fingerprintResolverPort", "fingerprintResolverBasicAuth"}},
      {"dht", {"host", "port"}},
      {"status", {"metrics"}}};
  for (const auto& [verb, flags] : options)
    for (const std::string flag : flags) {
      RawOptions options_with = raw(verb, {{flag, {secret}}});
      if (*verb == 'g' || *verb == 'p') options_with.values["router"] = {kSecret};
      if (*verb == 'p') options_with.values["provider"] = {"80"};
      if (flag.starts_with("unlimited")) options_with.values["unlimitedSecret"] = {"s"};
      if (flag == "refreshTime") options_with.values["docker"] = {""};
      const auto refused = make_config(options_with);
      ASSERT_FALSE(refused.ok()) << flag;
      EXPECT_EQ(refused.error().message.find(secret), std::string::npos) << refused.error().message;
      EXPECT_NE(refused.error().message.find("not shown"), std::string::npos) << refused.error().message;
    }
  const auto file = make_config(raw("gateway", {{"routerFile", {secret}}}));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().message.find(secret), std::string::npos) << file.error().message;
}

TEST(Config, OneOfTwoSecretsIsWantedOnlyWhereOneIsAndTheyAreNamedAsTheyWereGiven) {
  const auto both = [](const char* verb, std::map<std::string, std::vector<std::string>> more, bool typed) {
    more["router"] = {kSecret};
    more["routerFile"] = {"/nonexistent"};
    RawOptions options = raw(verb, std::move(more));
    if (!typed) options.from_environment = {"router", "routerFile"};
    const auto config = make_config(options);
    return config ? "" : config.error().message;
  };
  for (const char* verb : {"new", "status", "demo", "dht", "help"}) EXPECT_EQ(both(verb, {}, false), "") << verb;
  EXPECT_EQ(both("check", {{"check", {"s.json"}}}, false), "");
  EXPECT_EQ(both("scan", {{"scan", {std::string(64, 'c')}}}, false), "");
  for (const char* verb : {"gateway", "doctor", "scan"}) {
    EXPECT_EQ(both(verb, {}, false), "HYPERGATE_ROUTER and HYPERGATE_ROUTER_FILE: both are given; give one of them");
    EXPECT_EQ(both(verb, {}, true), "--router and --routerFile: both are given; give one of them");
  }
  EXPECT_NE(both("new", {}, true), "");
}

TEST(Config, DockerMode) {
  const auto provider = make_config(raw("", {{"router", {kSecret}}, {"docker", {""}}, {"provider", {""}}, {"network", {"hypergatenet"}}}));
  ASSERT_TRUE(provider.ok());
  ASSERT_TRUE(provider->docker);
  EXPECT_EQ(provider->docker->socket, "/var/run/docker.sock");
  EXPECT_EQ(provider->docker->network, "hypergatenet");
  EXPECT_EQ(provider->docker->refresh, 20s);
  EXPECT_TRUE(provider->expose_only_docker);

  const auto gateway = make_config(raw("gateway", {{"router", {kSecret}},
                                                   {"docker", {"unix:///run/d.sock"}},
                                                   {"exposeOnlyDocker", {"false"}},
                                                   {"refreshTime", {"5000"}},
                                                   {"image", {"x"}}}));
  ASSERT_TRUE(gateway.ok());
  EXPECT_EQ(gateway->docker->socket, "/run/d.sock");
  EXPECT_EQ(gateway->docker->image, "x");
  EXPECT_EQ(gateway->docker->refresh, 5s);
  EXPECT_FALSE(gateway->expose_only_docker);

  EXPECT_FALSE(make_config(raw("gateway", {{"router", {kSecret}}, {"docker", {"false"}}}))->docker);
  EXPECT_FALSE(make_config(raw("gateway", {{"router", {kSecret}}, {"docker", {"docker.sock"}}})).ok());
  EXPECT_FALSE(make_config(raw("gateway", {{"router", {kSecret}}, {"docker", {"true"}}, {"refreshTime", {"0"}}})).ok());
  EXPECT_FALSE(make_config(raw("gateway", {{"router", {kSecret}}, {"network", {"n"}}})).ok());
}

TEST(Config, Relaying) {
  const auto with = [](std::map<std::string, std::vector<std::string>> more) {
    more["router"] = {kSecret};
    return make_config(raw("gateway", std::move(more)));
  };
  EXPECT_TRUE(with({})->relay);
  EXPECT_EQ(with({})->relay_bandwidth, 20'000'000u);
  EXPECT_FALSE(with({{"noRelay", {""}}})->relay);
  EXPECT_TRUE(with({{"noRelay", {"false"}}})->relay);
  for (const auto& [text, rate] : std::map<std::string, uint64_t>{
           {"10mbit", 10'000'000}, {"10", 10'000'000}, {"500 kbit", 500'000}, {"1Gbit", 1'000'000'000}, {"128kbit", 128'000}})
    EXPECT_EQ(with({{"relayBandwidth", {text}}})->relay_bandwidth, rate) << text;
  for (const char* bad : {"", "0", "x", "10mb", "-1mbit", "1.5mbit", "100kbit", "99999999999mbit", "10mbit5"}) {
    const auto refused = with({{"relayBandwidth", {bad}}});
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_NE(refused.error().message.find("--relayBandwidth: '" + std::string(bad) + "'"), std::string::npos);
  }
}

TEST(Config, AGatewaySaysHowOftenTheUrlOfItsFilterIsAskedForChanges) {
  const auto config = make_config(raw("gateway", {{"router", {kSecret}}, {"ingressPolicyIntervalMs", {"1000"}}}));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->url_interval, 1s);
  EXPECT_FALSE(make_config(raw("dht", {{"ingressPolicyIntervalMs", {"1000"}}})).ok());
}

TEST(Config, GatewayOptionsNeedAGateway) {
  for (const char* flag : {"listen", "exposeOnlyServices", "exposeOnlyPublished", "exposeOnlyDocker"}) {
    const auto refused = make_config(raw("provider", {{"router", {kSecret}}, {"provider", {"80"}}, {flag, {""}}}));
    ASSERT_FALSE(refused.ok()) << flag;
    EXPECT_NE(refused.error().message.find("belongs to a gateway"), std::string::npos) << refused.error().message;
  }
  EXPECT_FALSE(make_config(raw("provider", {{"router", {kSecret}}, {"provider", {"x"}}, {"listen", {"0.0.0.0"}}})).ok());
}

TEST(Config, StatusAsksTheMetricsAddress) {
  EXPECT_EQ(make_config(raw("status", {}))->endpoints.metrics->to_string(), "127.0.0.1:9090");
  EXPECT_EQ(make_config(raw("status", {{"metrics", {"[::1]:80"}}}))->endpoints.metrics->to_string(), "[::1]:80");
  EXPECT_FALSE(make_config(raw("gateway", {{"router", {kSecret}}}))->endpoints.metrics);
  EXPECT_EQ(make_config(raw("status", {{"metrics", {"9090"}}})).error().message,
            "status: '9090' is not IP:PORT; give e.g. 127.0.0.1:9090 or [::1]:9090");
  EXPECT_EQ(make_config(raw("status", {{"metrics", {kSecret}}})).error().message.find(kSecret), std::string::npos);
  EXPECT_FALSE(make_config(raw("scan", {{"scan", {kSecret}}, {"metrics", {"127.0.0.1:1"}}})).ok());
  RawOptions environment = raw("status", {{"metrics", {"0.0.0.0:0"}}, {"listen", {"::"}}});
  environment.from_environment = {"metrics", "listen"};
  EXPECT_TRUE(make_config(environment).error().message.starts_with("--metrics: '0.0.0.0:0'"));
}

}  // namespace
}  // namespace hg::app
