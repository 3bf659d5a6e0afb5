package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AuthChallengeTest {
    @Test
    void readsQuotedAndPlainParameters() {
        assertThat(AuthChallenge.parse("Bearer realm=\"https://a/b?c=d,e\", service=x,scope=\"a \\\"b\\\\\"")).contains(
                new AuthChallenge("bearer", Map.of("realm", "https://a/b?c=d,e", "service", "x", "scope", "a \"b\\")));
        assertThat(AuthChallenge.parse("BASIC")).contains(new AuthChallenge("basic", Map.of()));
    }

    @Test
    void prefersBearer() {
        assertThat(AuthChallenge.choose(List.of("Negotiate", "Basic realm=\"x\"", "Bearer realm=\"y\"")))
                .contains(new AuthChallenge("bearer", Map.of("realm", "y")));
        assertThat(AuthChallenge.choose(List.of("Negotiate", ""))).isEmpty();
    }
}
