package dev.cube.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.api.ApiFixture.Answer;
import dev.cube.master.CreateSandbox;
import dev.cube.master.MasterException;
import dev.cube.master.OnTimeout;
import dev.cube.master.SandboxNetwork;
import dev.cube.master.SandboxQuery;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SandboxRoutesTest {
    private final ApiFixture api = new ApiFixture(false);

    @AfterEach
    void close() {
        api.close();
    }

    @Test
    void createsWithDefaults() throws Exception {
        Answer answer = api.post("/sandboxes", "{\"templateID\":\"base\"}");

        assertThat(answer.status()).isEqualTo(201);
        assertThat(answer.body()).isEqualTo(api.tree("""
                {"sandboxID":"sb1","templateID":"base","alias":"python","clientID":"cube","envdVersion":"0.5.7",
                 "domain":"cube.localhost:8443"}"""));
        assertThat(api.sandboxes.requests).containsExactly(new CreateSandbox("base", Duration.ofSeconds(15), Map.of(),
                Map.of(), false, OnTimeout.KILL, SandboxNetwork.UNSPECIFIED));
    }

    @Test
    void createsWithEverything() {
        Answer answer = api.post("/sandboxes", """
                {"templateID":"python","timeout":60,"metadata":{"user":"é"},"envVars":{"A":"b=c"},"secure":true,
                 "autoPause":true,"autoPauseMemory":true,"autoResume":{"enabled":false},"allow_internet_access":false,
                 "network":{},"mcp":null,"volumeMounts":[]}""");

        assertThat(answer.status()).isEqualTo(201);
        assertThat(answer.body().path("envdAccessToken").asText()).isEqualTo("secret");
        assertThat(api.sandboxes.requests).containsExactly(new CreateSandbox("python", Duration.ofSeconds(60),
                Map.of("user", "é"), Map.of("A", "b=c"), true, OnTimeout.PAUSE, new SandboxNetwork(Optional.of(false),
                Optional.of(new SandboxNetwork.Ingress(Optional.empty(), Optional.empty(), Optional.empty())),
                Optional.of(new SandboxNetwork.Egress(Optional.empty(), Optional.empty(), Optional.empty(),
                        Optional.empty())))));
    }

    @Test
    void secondVersionIsSecureAndLivesFiveMinutes() {
        assertThat(api.post("/v2/sandboxes", "{\"templateID\":\"base\"}").status()).isEqualTo(201);

        assertThat(api.sandboxes.requests).containsExactly(new CreateSandbox("base", Duration.ofSeconds(300), Map.of(),
                Map.of(), true, OnTimeout.KILL, SandboxNetwork.UNSPECIFIED));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{}                                                  | field 'templateID' is required",
        "{\"templateID\":\" \"}                              | field 'templateID' must not be empty",
        "{\"templateID\":7}                                  | field 'templateID' must be a string",
        "{\"templateID\":\"base\",\"timeout\":-1}            | field 'timeout' must be 0 to 2592000, not -1",
        "{\"templateID\":\"base\",\"timeout\":1000000000}    | field 'timeout' must be 0 to 2592000, not 1000000000",
        "{\"templateID\":\"base\",\"timeout\":99999999999}   | field 'timeout' is out of range",
        "{\"templateID\":\"base\",\"timeout\":\"5\"}         | field 'timeout' must be a whole number",
        "{\"templateID\":\"base\",\"metadata\":{\"a\":1}}    | field 'metadata.a' must be a string",
        "{\"templateID\":\"base\",\"metadata\":{\"a\":null}} | field 'metadata.a' must be a string",
        "{\"templateID\":\"base\",\"secure\":\"yes\"}        | field 'secure' must be true or false",
        "{\"templateID\":\"base\",\"mcp\":{\"exa\":{}}}      | field 'mcp' is not supported: "
                + "this server runs no MCP gateway",
        "{\"templateID\":\"base\",\"iam\":{\"tokens\":{\"a\":{}}}} | field 'iam' is not supported: "
                + "this server gives sandboxes no workload identity",
        "{\"templateID\":\"base\",\"volumeMounts\":[{\"name\":\"v\"}]} | field 'volumeMounts' is not supported: "
                + "this server has no volumes",
        "{\"templateID\":\"base\",\"autoResume\":{\"enabled\":true}} | field 'autoResume.enabled' can only be "
                + "true if 'autoPause' is",
        "{\"templateID\":\"base\",\"colour\":1}              | unknown field 'colour'"})
    void namesTheFieldThatIsWrong(String body, String message) {
        Answer answer = api.post("/sandboxes", body);

        assertThat(answer.status()).isEqualTo(400);
        assertThat(answer.body().path("code").asInt()).isEqualTo(400);
        assertThat(answer.message()).isEqualTo(message);
        assertThat(api.sandboxes.all).isEmpty();
    }

    @Test
    void environmentThatLinuxCannotHoldIsRefused() {
        assertThat(api.post("/sandboxes", "{\"templateID\":\"base\",\"envVars\":{\"A=\":\"\"}}").message())
                .startsWith("field 'envVars' cannot hold the variable 'A='");
        assertThat(api.post("/sandboxes", "{\"templateID\":\"base\",\"envVars\":{\"A\":\"\\u0000\"}}").message())
                .startsWith("field 'envVars' cannot hold the variable 'A'");
        assertThat(api.post("/sandboxes", "{\"templateID\":\"base\",\"envVars\":{\"A\":\"" + "x".repeat(200_000)
                + "\"}}").message()).startsWith("field 'envVars.A' must be shorter");
    }

    @Test
    void hugeBodiesAreRefused() {
        assertThat(api.post("/sandboxes", "{\"templateID\":\"" + "x".repeat(2 << 20) + "\"}").status())
                .isEqualTo(413);
    }

    @Test
    void unknownTemplateIs404() {
        Answer answer = api.post("/sandboxes", "{\"templateID\":\"nope\"}");

        assertThat(answer.status()).isEqualTo(404);
        assertThat(answer.message()).isEqualTo("there is no template nope");
    }

    @ParameterizedTest
    @CsvSource({"INVALID,400", "NOT_FOUND,404", "CONFLICT,409", "NO_CAPACITY,503", "FAILED,500"})
    void failuresHaveTheirStatus(MasterException.Kind kind, int status) {
        api.sandboxes.refusal = Optional.of(new MasterException(kind, "because"));

        Answer answer = api.post("/sandboxes", "{\"templateID\":\"base\"}");

        assertThat(answer.status()).isEqualTo(status);
        assertThat(answer.message()).isEqualTo("because");
        assertThat(api.meters.get("cube.api.requests").tags("method", "POST", "route", "/sandboxes", "status",
                Integer.toString(status)).timer().count()).isEqualTo(1);
    }

    @Test
    void showsOneSandbox() throws Exception {
        api.post("/sandboxes", "{\"templateID\":\"base\",\"secure\":true,\"metadata\":{\"a\":\"b\"}}");

        Answer answer = api.get("/sandboxes/sb1");

        assertThat(answer.status()).isEqualTo(200);
        assertThat(answer.body()).isEqualTo(api.tree("""
                {"sandboxID":"sb1","templateID":"base","alias":"python","clientID":"cube",
                 "startedAt":"2026-01-02T03:04:05.678Z","endAt":"2026-01-02T03:04:20.678Z","cpuCount":2,
                 "memoryMB":2048,"diskSizeMB":1024,"metadata":{"a":"b"},"state":"running","envdVersion":"0.5.7",
                 "envdAccessToken":"secret","domain":"cube.localhost:8443",
                 "lifecycle":{"autoResume":false,"onTimeout":"kill"}}"""));
    }

    @Test
    void killsOnce() {
        api.post("/sandboxes", "{\"templateID\":\"base\"}");

        assertThat(api.call("DELETE", "/sandboxes/sb1", null).status()).isEqualTo(204);
        Answer again = api.call("DELETE", "/sandboxes/sb1", null);
        assertThat(again.status()).isEqualTo(404);
        assertThat(again.body().path("code").asInt()).isEqualTo(404);
        assertThat(api.get("/sandboxes/sb1").status()).isEqualTo(404);
    }

    @Test
    void timeoutReplacesTheEndAndRefreshOnlyExtendsIt() {
        api.post("/sandboxes", "{\"templateID\":\"base\",\"timeout\":100}");

        assertThat(api.post("/sandboxes/sb1/timeout", "{\"timeout\":30}").status()).isEqualTo(204);
        assertThat(lifetime()).isEqualTo(Duration.ofSeconds(30));
        assertThat(api.post("/sandboxes/sb1/refreshes", "").status()).isEqualTo(204);
        assertThat(lifetime()).isEqualTo(Duration.ofSeconds(30));
        assertThat(api.post("/sandboxes/sb1/refreshes", "{\"duration\":50}").status()).isEqualTo(204);
        assertThat(lifetime()).isEqualTo(Duration.ofSeconds(50));
    }

    @Test
    void connectExtendsAndGivesWhatCreateGave() {
        Answer created = api.post("/sandboxes", "{\"templateID\":\"base\",\"secure\":true,\"timeout\":30}");

        assertThat(api.post("/sandboxes/sb1/connect", "{}").message()).isEqualTo("field 'timeout' is required");
        Answer connected = api.post("/sandboxes/sb1/connect", "{\"timeout\":20}");
        assertThat(connected.status()).isEqualTo(200);
        assertThat(connected.body()).isEqualTo(created.body());
        assertThat(lifetime()).isEqualTo(Duration.ofSeconds(30));
        assertThat(api.post("/v2/sandboxes/sb1/connect", "").status()).isEqualTo(200);
        assertThat(lifetime()).isEqualTo(Duration.ofSeconds(300));
        assertThat(api.post("/sandboxes/sb9/connect", "{\"timeout\":20}").status()).isEqualTo(404);
    }

    private Duration lifetime() {
        return Duration.between(FakeSandboxes.NOW, api.sandboxes.get("sb1").endAt());
    }

    @ParameterizedTest
    @ValueSource(strings = {"timeout", "refreshes", "connect"})
    void garbageChangesNothing(String action) {
        api.post("/sandboxes", "{\"templateID\":\"base\",\"timeout\":30}");

        assertThat(api.post("/sandboxes/sb1/" + action, "{\"timeout\":\"x\",\"duration\":\"x\"}").status())
                .isEqualTo(400);
        assertThat(api.post("/sandboxes/sb1/" + action, "[").status()).isEqualTo(400);
        assertThat(lifetime()).isEqualTo(Duration.ofSeconds(30));
    }

    @Test
    void listsInPages() throws Exception {
        for (int i = 0; i < 3; i++) {
            api.post("/sandboxes", "{\"templateID\":\"base\",\"metadata\":{\"n\":\"" + i + "\"}}");
        }

        Answer first = api.get("/v2/sandboxes?limit=2");
        String token = first.response().headers().firstValue("x-next-token").orElseThrow();
        Answer second = api.get("/v2/sandboxes?limit=2&nextToken=" + token);

        assertThat(first.body().findValuesAsText("sandboxID")).containsExactly("sb3", "sb2");
        assertThat(second.body().findValuesAsText("sandboxID")).containsExactly("sb1");
        assertThat(second.response().headers().firstValue("x-next-token")).isEmpty();
        assertThat(second.body().path(0)).isEqualTo(api.tree("""
                {"sandboxID":"sb1","templateID":"base","alias":"python","clientID":"cube",
                 "startedAt":"2026-01-02T03:04:05.678Z","endAt":"2026-01-02T03:04:20.678Z","cpuCount":2,
                 "memoryMB":2048,"diskSizeMB":1024,"metadata":{"n":"0"},"state":"running","envdVersion":"0.5.7"}"""));
    }

    @Test
    void listsByMetadataAndState() {
        api.post("/sandboxes", "{\"templateID\":\"base\",\"metadata\":{\"a b\":\"c&d=é\",\"e\":\"f\"}}");
        api.post("/sandboxes", "{\"templateID\":\"base\",\"metadata\":{\"e\":\"f\"}}");

        // As E2B's JavaScript client sends {"a b": "c&d=é", "e": "f"}.
        String sent = "a%252520b%3Dc%252526d%25253D%2525C3%2525A9%26e%3Df";
        assertThat(api.get("/v2/sandboxes?metadata=" + sent).body().findValuesAsText("sandboxID"))
                .containsExactly("sb1");
        assertThat(api.get("/sandboxes?metadata=" + sent).body().findValuesAsText("sandboxID"))
                .containsExactly("sb1");
        assertThat(api.get("/v2/sandboxes?metadata=e%3Df&state=running,paused").body()).hasSize(2);
        assertThat(api.get("/v2/sandboxes?state=paused").body()).isEmpty();
    }

    @Test
    void passesOnHowAListingIsFilteredAndSorted() {
        api.post("/sandboxes", "{\"templateID\":\"base\"}");

        Answer answer = api.get("/v2/sandboxes?order=asc&template=python&startedAfter=2026-01-02T04:04:05.678%2B01:00");

        assertThat(answer.response().headers().firstValue("x-total-running")).contains("1");
        assertThat(api.sandboxes.queries).containsExactly(new SandboxQuery(Map.of(), Set.of(),
                Optional.of(FakeSandboxes.NOW), Optional.of("python"), SandboxQuery.Order.OLDEST_FIRST));
        assertThat(api.get("/v2/sandboxes?state=paused").response().headers().firstValue("x-total-running")).isEmpty();
    }

    @Test
    void oldListingHasAllPages() {
        for (int i = 0; i < 101; i++) {
            api.post("/sandboxes", "{\"templateID\":\"base\"}");
        }

        assertThat(api.get("/sandboxes").body()).hasSize(101);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "limit=0        | parameter 'limit' must be a number from 1 to 100",
        "limit=x        | parameter 'limit' must be a number from 1 to 100",
        "state=dead     | parameter 'state' must be running or paused",
        "metadata=a     | parameter 'metadata' must be key=value pairs joined by '&', URL-encoded",
        "metadata=%253Da| parameter 'metadata' must be key=value pairs joined by '&', URL-encoded",
        "order=up       | parameter 'order' must be asc or desc",
        "template=a:b   | parameter 'template' must not have a tag",
        "startedAfter=1 | parameter 'startedAfter' must be a time like 2026-01-31T12:00:00Z"})
    void namesTheParameterThatIsWrong(String query, String message) {
        Answer answer = api.get("/v2/sandboxes?" + query);

        assertThat(answer.status()).isEqualTo(400);
        assertThat(answer.message()).isEqualTo(message);
    }
}
