package dev.cube.api;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.cube.api.ApiFixture.Answer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class NetworkTest {
    private static final String WHOLE = """
            {"allowPublicTraffic":false,"maskRequestHost":"localhost:${PORT}","httpsPorts":[8443,3000],
             "allowOut":["example.com","*.example.org","8.8.8.8","2001:db8::/32"],"denyOut":["0.0.0.0/0"],
             "rules":{"example.com":[{"transform":{"headers":{"Authorization":"Bearer x"}}}],"a.b":[{}],"c.d":[]},
             "egressProxy":{"address":"proxy.example.com:1080","username":"u","password":"p"}}""";

    private final ApiFixture api = new ApiFixture(false);

    @AfterEach
    void close() {
        api.close();
    }

    private Answer create(String network) {
        return api.post("/v2/sandboxes", "{\"templateID\":\"base\",\"network\":" + network + "}");
    }

    private JsonNode network() {
        return api.get("/sandboxes/sb1").body().path("network");
    }

    @Test
    void tellsWhatWasAskedForWithoutTheProxysPassword() throws Exception {
        assertThat(create(WHOLE).status()).isEqualTo(201);

        assertThat(network()).isEqualTo(api.tree(WHOLE.replace(",\"password\":\"p\"", "")));
    }

    @Test
    void givesATrafficTokenWherePortsAreNotPublic() {
        Answer created = create("{\"allowPublicTraffic\":false}");
        assertThat(created.body().path("trafficAccessToken").asText()).hasSize(64);
        assertThat(api.post("/v2/sandboxes/sb1/connect", "").body()).isEqualTo(created.body());
        assertThat(create("{\"allowPublicTraffic\":true}").body().has("trafficAccessToken")).isFalse();

        Answer open = api.post("/sandboxes",
                "{\"templateID\":\"base\",\"network\":{\"allowPublicTraffic\":false}}");
        assertThat(open.status()).isEqualTo(400);
        assertThat(open.message()).isEqualTo(
                "field 'network.allowPublicTraffic' can only be false in a sandbox that is 'secure'");
    }

    @Test
    void replacesEgressAndKeepsTheRest() throws Exception {
        create(WHOLE);

        Answer updated = api.call("PUT", "/sandboxes/sb1/network",
                "{\"denyOut\":[\"1.1.1.1\"],\"allow_internet_access\":false}");

        assertThat(updated.status()).isEqualTo(204);
        assertThat(network()).isEqualTo(api.tree("""
                {"allowPublicTraffic":false,"maskRequestHost":"localhost:${PORT}","httpsPorts":[8443,3000],
                 "denyOut":["1.1.1.1"]}"""));
        assertThat(api.get("/sandboxes/sb1").body().path("allowInternetAccess").asBoolean(true)).isFalse();
        assertThat(api.call("PUT", "/sandboxes/sb9/network", "{}").status()).isEqualTo(404);
        assertThat(api.call("PUT", "/sandboxes/sb1/network", "").status()).isEqualTo(400);
        assertThat(api.call("PUT", "/sandboxes/sb1/network", "{\"denyOut\":[\"x\"]}").message())
                .startsWith("field 'denyOut[0]' must be an IP address");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{`denyOut`:[`example.com`]}                   | network.denyOut[0]",
        "{`denyOut`:[`0.0.0.0`]}                       | network.denyOut[0]",
        "{`denyOut`:[`10.0.0.0/33`]}                   | network.denyOut[0]",
        "{`denyOut`:[`10.1`]}                          | network.denyOut[0]",
        "{`denyOut`:[`::/0`]}                          | network.denyOut[0]",
        "{`denyOut`:[`fe80::1%lo`]}                    | network.denyOut[0]",
        "{`denyOut`:[null]}                            | network.denyOut",
        "{`allowOut`:[`example.com`]}                  | network.allowOut[0]",
        "{`allowOut`:[`a b`],`denyOut`:[`0.0.0.0/0`]}  | network.allowOut[0]",
        "{`allowOut`:[`1.2.3.400`],`denyOut`:[`0.0.0.0/0`]} | network.allowOut[0]",
        "{`maskRequestHost`:`a b`}                     | network.maskRequestHost",
        "{`maskRequestHost`:`exämple.com`}             | network.maskRequestHost",
        "{`maskRequestHost`:`a:port`}                  | network.maskRequestHost",
        "{`maskRequestHost`:`a\\r\\nb: c`}             | network.maskRequestHost",
        "{`httpsPorts`:[0]}                            | network.httpsPorts",
        "{`httpsPorts`:[443,65536]}                    | network.httpsPorts",
        "{`httpsPorts`:[49983]}                        | network.httpsPorts",
        "{`httpsPorts`:[null]}                         | network.httpsPorts",
        "{`egressProxy`:{}}                            | network.egressProxy.address",
        "{`egressProxy`:{`address`:`host`}}            | network.egressProxy.address",
        "{`egressProxy`:{`address`:`host:0`}}          | network.egressProxy.address",
        "{`egressProxy`:{`address`:`h:1`,`password`:`p`}} | network.egressProxy.password",
        "{`rules`:{`a b`:[]}}                          | network.rules",
        "{`rules`:{`a.b`:[{},{}]}}                     | network.rules.a.b",
        "{`rules`:{`a.b`:[null]}}                      | network.rules.a.b",
        "{`rules`:{`a.b`:[{`transform`:{`headers`:{`a b`:`c`}}}]}} | network.rules.a.b",
        "{`rules`:{`a.b`:[{`transform`:{`headers`:{`a`:`c\\n`}}}]}} | network.rules.a.b"})
    void namesTheFieldThatIsWrong(String network, String field) {
        Answer answer = create(network.replace('`', '"'));

        assertThat(answer.status()).isEqualTo(400);
        assertThat(answer.message()).startsWith("field '" + field + "' ");
        assertThat(api.sandboxes.all).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"localhost", "localhost:8080", "127.0.0.1:${PORT}", "${PORT}-a.example.com", "[::1]:80"})
    void takesHostsToMaskRequestsWith(String host) {
        create("{\"maskRequestHost\":\"" + host + "\"}");

        assertThat(network().path("maskRequestHost").asText()).isEqualTo(host);
    }
}
