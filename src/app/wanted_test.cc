#include "app/wanted.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/scratch_folder.h"

namespace hg::app {
namespace {

class WantedTest : public test::WithFolder {
 protected:
  Expected<Wanted> load() const {
    std::vector<Source> sources = sources_of(config_);
    for (Source& source : sources)
      if (const auto looked = source.look(); !looked) return looked.error();
    return combine(said_by(sources));
  }
  Expected<Wanted> load_policies(std::vector<std::string> values) {
    config_.endpoints.ingress_policies = std::move(values);
    return load();
  }

  Config config_;
};

TEST_F(WantedTest, LaterPoliciesWinAndFaultsNameTheirSource) {
  const auto loaded = load_policies({R"({"defaults":{"allow":false},"ips":{"10.0.0.1":{"labels":["a"]}}})",
                                     write("p.json", R"({"defaults":{"allow":true},"ips":{"10.0.0.1":{"allow":false}}})")});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(R"({"defaults":{"allow":true},"ips":{"10.0.0.1":{"labels":["a"],"allow":false}}})", loaded->ingress_policy);
  EXPECT_EQ("", load_policies({})->ingress_policy);
  const std::string bad = write("bad.json", R"({"ips":{"10.0.0.1":{"allow":1}}})");
  EXPECT_EQ("--ingressPolicy: " + bad + ": $.ips[\"10.0.0.1\"].allow: 1 is not accepted; true or false",
            load_policies({"{}", bad}).error().message);
  EXPECT_FALSE(load_policies({write("empty.json", "")}));
  EXPECT_FALSE(load_policies({folder_ / "nothing"}));
}

TEST_F(WantedTest, ServicesAndFiltersOfAllSourcesAddUp) {
  config_.services = {R"([{"gatePort":80}])", write("s.json", R"([{"gatePort":"81-82"}])"), "83=db.lan:53/udp"};
  config_.filters = {R"([{"gatePort":80}])", R"([{"serviceHost":"db"}])"};
  const auto loaded = load();
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(4u, loaded->services.size());
  EXPECT_EQ(82, loaded->services[2].gate_port);
  EXPECT_EQ((tunnel::Service{83, "db.lan", 53, tunnel::Protocol::kUdp, {}, {}}), loaded->services[3]);
  ASSERT_EQ(2u, loaded->filter.size());
  EXPECT_EQ("db", loaded->filter[1].service_host);
}

TEST_F(WantedTest, MoreThanGatewaysTakeIsRefused) {
  config_.services = {R"([{"gatePort":"1-4096"}])", R"([{"gatePort":4097}])"};
  EXPECT_EQ("--provider: 4097 services are not accepted; at most 4096", load().error().message);
  config_.services = {R"([{"gatePort":"1-4096"}])"};
  EXPECT_TRUE(load());
  const std::string long_policy = fmt::format(R"({{"defaults":{{"labels":["{}"]}}}})", std::string(60, 'x'));
  EXPECT_TRUE(load_policies({long_policy}));
  std::string rules;
  for (int i = 0; i < 100; ++i) rules += fmt::format(R"({}"10.0.0.{}":{{"allow":false}})", i == 0 ? "" : ",", i);
  EXPECT_EQ(0u, load_policies({"{\"ips\":{" + rules + "}}"}).error().message.find("--ingressPolicy: with it "));
  config_.endpoints.ingress_policies.clear();
  config_.services = {R"([{"gatePort":"1-4096","ingressPolicy":{"ips":{)" + rules + "}}}]"};
  EXPECT_EQ(0u, load().error().message.find("--provider: with their ingressPolicy "));
}

TEST_F(WantedTest, AProviderThatWillNeverOfferAnythingIsRefused) {
  const auto offer = [this](std::vector<std::string> services) {
    config_.services = std::move(services);
    std::vector<Source> sources = sources_of(config_);
    for (Source& source : sources) EXPECT_TRUE(source.look());
    const auto good = check_offer(config_, sources, *combine(said_by(sources)));
    return good ? "" : good.error().message;
  };
  const std::string file = write("empty.json", "[]");
  EXPECT_EQ("", offer({"[]"})) << "a gateway";
  config_.provider = true;
  EXPECT_EQ(no_services().message, offer({"[]"}));
  EXPECT_EQ(no_services().message, offer({"[]", R"({"services":[]})"}));
  EXPECT_EQ("", offer({"[]", "80"}));
  EXPECT_EQ("", offer({file})) << "it may change";
  EXPECT_EQ("", offer({"[]", file}));
  config_.filters = {file};
  EXPECT_EQ(no_services().message, offer({"[]"})) << "a filter is no service";
  config_.docker.emplace();
  EXPECT_EQ("", offer({"[]"})) << "containers have some";
}

}  // namespace
}  // namespace hg::app
