#include "tunnel/admission.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/tunnel_members.h"

namespace hg::tunnel {
namespace {

using namespace test;

class AdmissionTest : public MembersTest {
 protected:
  static constexpr const char* kClient = "192.0.2.7";  // whom MembersTest::open() speaks for

  void SetUp() override {
    gateway_ = std::make_unique<Member>(host_, true, false);
    provider_ = std::make_unique<Member>(host_, false, true);
    set_policy("{}");
    connect(*gateway_, 1, *provider_, 2);
    ASSERT_TRUE(wait([&] { return !gateway_->node->gateway()->gates().empty(); }));
  }
  void set_policy(std::string policy) {
    Service service = tcp(8080);
    service.ingress_policy = std::move(policy);
    provider_->node->provider()->set_services({service});
  }
  Admissions& admissions() { return gateway_->node->gateway()->admissions(); }

  std::unique_ptr<Member> gateway_;
  std::unique_ptr<Member> provider_;
};

TEST_F(AdmissionTest, AChangedPolicyClosesOpenChannelsAndRefusesNewOnes) {
  auto client = open(*gateway_, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  set_policy(R"({"ips":{"192.0.2.0/24":{"allow":false}}})");
  ASSERT_TRUE(wait([&] { return client->closed; }));
  EXPECT_EQ(CloseReason::kDenied, client->reason);
  EXPECT_EQ(1u, gateway_->node->counters().closed_ingress);
  auto next = open(*gateway_, 8080);
  ASSERT_TRUE(wait([&] { return next->closed; }));
  EXPECT_EQ(CloseReason::kDenied, next->reason);
  EXPECT_EQ(0u, gateway_->node->channel_count());
  set_policy("{}");
  auto later = open(*gateway_, 8080);
  run(1s);
  auto last = open(*gateway_, 8080);
  EXPECT_TRUE(wait([&] { return last->opened; }));
}

TEST_F(AdmissionTest, APolicyThatDoesNotFitIntoTheAdvertisementIsNotTaken) {
  std::string huge = R"({"defaults":{"allow":false},"ips":{)";
  for (int i = 0; i < 60'000; ++i) huge += fmt::format(R"("10.{}.{}.1":{{"labels":["{}"]}},)", i / 256, i % 256, std::string(200, 'x'));
  huge += R"("192.0.2.7":{}}})";
  EXPECT_FALSE(provider_->node->provider()->set_ingress_policy(huge));
  run(1s);
  auto client = open(*gateway_, 8080, Protocol::kTcp, "203.0.113.1");
  EXPECT_TRUE(wait([&] { return client->opened; }));
  EXPECT_TRUE(provider_->node->provider()->set_ingress_policy(R"({"defaults":{"allow":false}})"));
  EXPECT_TRUE(wait([&] { return client->closed; }));
}

TEST_F(AdmissionTest, ARuleThatExpiresIsNoticedOnOpenChannels) {
  set_policy(fmt::format(R"({{"defaults":{{"allow":false}},"ips":{{"{}":{{"expireAt":{}}}}}}})", kClient, host_.wall_ms() + 60'000));
  run(1s);
  auto client = open(*gateway_, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  run(58s);
  EXPECT_FALSE(client->closed);
  run(2s);
  EXPECT_TRUE(client->closed);
}

TEST_F(AdmissionTest, AnOverrideLiftsDenialAndLimitUntilItEnds) {
  set_policy(R"({"defaults":{"allow":false}})");
  run(1s);
  auto denied = open(*gateway_, 8080);
  ASSERT_TRUE(wait([&] { return denied->closed; }));
  ASSERT_TRUE(admissions().set_override(kClient, host_.wall_ms() + 30'000));
  auto client = open(*gateway_, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  EXPECT_NE(std::string::npos, provider_->connector.requests.back().fingerprint.find(R"("ingressLabels":["gateway-unlimited"])"));
  EXPECT_EQ(1u, admissions().overrides().size());
  run(29s);
  EXPECT_FALSE(client->closed);
  run(2s);
  EXPECT_TRUE(client->closed);
  EXPECT_TRUE(admissions().overrides().empty());
}

TEST_F(AdmissionTest, TheLimitIsHeardBeforeTheChannelOpensAndAtEachChange) {
  struct Listener final : ChannelHandler {
    void on_channel_open() override { opened = true; }
    void on_channel_limit(std::shared_ptr<Bucket> bucket) override {
      EXPECT_EQ(changes == 0, !opened);
      last = std::move(bucket);
      ++changes;
    }
    void on_channel_data(ByteView) override {}
    void on_channel_end() override {}
    void on_channel_sendable() override {}
    void on_channel_closed(CloseReason) override {}
    bool opened = false;
    int changes = 0;
    std::shared_ptr<Bucket> last;
  };
  set_policy(R"({"defaults":{"bandwidthLimit":{"mbps":8,"burstMbps":16}}})");
  run(1s);
  Listener first, second;
  const GateRequest request{{8080, Protocol::kTcp}, {kClient, kClient, 5}, {"127.0.0.1", "127.0.0.1", 8080}};
  auto one = gateway_->node->gateway()->open(request, first);
  auto two = gateway_->node->gateway()->open(request, second);
  ASSERT_TRUE(wait([&] { return first.opened && second.opened; }));
  ASSERT_NE(nullptr, first.last);
  EXPECT_EQ(first.last, second.last);
  EXPECT_EQ(2'000'000u, first.last->capacity());
  ASSERT_TRUE(admissions().set_override(kClient, host_.wall_ms() + 30'000));
  run(1s);
  EXPECT_EQ(nullptr, first.last);
  run(30s);
  ASSERT_NE(nullptr, first.last);
  set_policy(R"({"defaults":{"bandwidthLimit":{"mbps":1}}})");
  run(1s);
  EXPECT_EQ(125'000u, first.last->capacity());
  EXPECT_EQ(4, first.changes);
}

// The routes of a silent provider go before its channels do.
class AdmissionSilenceTest : public AdmissionTest {
 protected:
  static constexpr const char* kLimit = R"({"defaults":{"bandwidthLimit":{"mbps":8}}})";

  void SetUp() override {
    gateway_ = std::make_unique<Member>(host_, true, false);
    provider_ = std::make_unique<Member>(host_, false, true);
    set_policy(kLimit);
    end_ = connect(*gateway_, 1, *provider_, 2).first;
    ASSERT_TRUE(wait([&] { return !gateway_->node->gateway()->gates().empty(); }));
    client_ = open(*gateway_, 8080);
    ASSERT_TRUE(wait([&] { return client_->opened; }));
    EXPECT_NE(std::string::npos, described().find("limit 8 "));
    end_->set_answering(false);
    ASSERT_TRUE(wait([&] { return gateway_->node->gateway()->gates().empty(); }));
  }
  std::string described() { return admissions().describe_channels(1).at(0); }

  PipeEnd* end_ = nullptr;
  std::unique_ptr<FakeSocket> client_;
};

TEST_F(AdmissionSilenceTest, ALimitStaysWhileTheRouteIsGone) {
  admissions().recheck();
  run(1s);
  EXPECT_NE(std::string::npos, described().find("limit 8 "));
  ASSERT_TRUE(admissions().set_override(kClient, host_.wall_ms() + 5'000));
  run(1s);
  EXPECT_NE(std::string::npos, described().find("no limit"));
  run(5s);
  EXPECT_NE(std::string::npos, described().find("limit 8 "));
}

TEST_F(AdmissionSilenceTest, ADenialIsHeardWhenTheRouteIsBack) {
  set_policy(R"({"defaults":{"allow":false}})");
  run(1s);
  EXPECT_FALSE(client_->closed);
  end_->set_answering(true);
  EXPECT_TRUE(wait([&] { return client_->closed; }, 1s));
  EXPECT_EQ(CloseReason::kDenied, client_->reason);
}

TEST_F(AdmissionSilenceTest, ALimitThatWasLiftedIsGoneWhenTheRouteIsBack) {
  set_policy("{}");
  end_->set_answering(true);
  EXPECT_TRUE(wait([&] { return described().find("no limit") != std::string::npos; }, 1s));
}

TEST_F(AdmissionTest, ThePolicyOfAServiceInConflictStillCounts) {
  auto client = open(*gateway_, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  Member other(host_, false, true);
  other.node->provider()->set_services({tcp(8080, "another")});
  connect(*gateway_, 1, other, 3);
  ASSERT_TRUE(wait([&] { return gateway_->node->gateway()->routes().size() == 2; }));
  provider_->node->provider()->set_services({});
  ASSERT_TRUE(wait([&] { return gateway_->node->gateway()->routes().size() == 1; }));
  set_policy(R"({"defaults":{"allow":false}})");
  EXPECT_TRUE(wait([&] { return client->closed; }));
  EXPECT_EQ(CloseReason::kDenied, client->reason);
}

}  // namespace
}  // namespace hg::tunnel
