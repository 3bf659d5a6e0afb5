package dev.cube.envd.interpreter;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ContextTagTest {
    @Test
    void tagSaysWhatItWasMadeOf() {
        for (boolean standard : new boolean[] {true, false}) {
            var tag = new ContextTag("0a-1b", Language.PYTHON, standard, "/home/some user");
            assertThat(ContextTag.parse(tag.encode())).contains(tag);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "mine", "cube-interpreter/1", "cube-interpreter/1 ID python default /", "cube-interpreter/0 a python default /",
            "cube-interpreter/1 a cobol default /", "cube-interpreter/1  python default /"})
    void otherTagsAreNoContexts(String tag) {
        assertThat(ContextTag.parse(tag)).isEmpty();
    }
}
