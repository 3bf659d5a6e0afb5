package dev.cube.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

class SizeTest {
    @ParameterizedTest
    @CsvSource({"512M, 512", "2G, 2048", "1GiB, 1024", "1024MB, 1024", "300, 300", "2g, 2048", "1 gib, 1024",
        "2048K, 2", "1T, 1048576"})
    void readsUnits(String text, int mebibytes) {
        assertThat(Size.parse(text).mebibytes()).isEqualTo(mebibytes);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "G", "1.5G", "-1G", "1P", "1Gx", "0", "1K", "999999999T", "99999999999G"})
    void refusesTheRest(String text) {
        assertThatThrownBy(() -> Size.parse(text)).isInstanceOf(TypeConversionException.class);
    }

    @ParameterizedTest
    @CsvSource({"512, 512 MiB", "2048, 2 GiB", "1536, 1536 MiB"})
    void prints(int mebibytes, String text) {
        assertThat(new Size(mebibytes)).hasToString(text);
    }
}
