package dev.cube.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CubeBenchTest {
    private final StringWriter err = new StringWriter();

    @ParameterizedTest
    @ValueSource(strings = {
        "-c 0",
        "-n none",
        "-w -1",
        "-m destroy",
        "snapshot -c 0",
        "dirty -d -1",
        "clone --rounds 0",
        "density -n 0",
        "report --only nothing -t any",
        "rollback --lost"})
    void explainsWhatIsWrongWithACall(String line) {
        assertThat(run(line)).isEqualTo(2);
        assertThat(err.toString().lines().findFirst().orElseThrow()).startsWith("cube-bench: ");
        assertThat(err.toString().lines().count()).isLessThanOrEqualTo(2);
    }

    @Test
    void saysWhichFileIsNoReport() {
        assertThat(run("report --merge /no/such/file.json")).isEqualTo(1);
        assertThat(err.toString()).startsWith("cube-bench: cannot read /no/such/file.json").hasLineCount(1);
    }

    /** The reference's own command lines, which its users know. */
    @ParameterizedTest
    @CsvSource({
        "-c 10 -n 200 -w 3, CreateBench",
        "-c 10 -n 10 -m create-only, CreateBench",
        "snapshot -c 5 -n 5 --no-header, SnapshotBench",
        "dirty -d 200 -n 3 --no-header, DirtyBench",
        "create-from-snapshot -c 20 -n 5 --no-header -o x.json, CreateFromSnapshotBench",
        "rollback -c 5 -n 5 --no-header, RollbackBench",
        "clone -n 20 -c 10 --rounds 3 --no-header, CloneBench",
        "pause-resume -c 10 -n 5 --no-header, PauseResumeBench",
        "density, DensityBench"})
    void takesTheReferencesFlags(String line, String benchmark) {
        assertThat(CubeBench.parse(line.split(" ")).getClass().getSimpleName()).isEqualTo(benchmark);
    }

    private int run(String line) {
        return CubeBench.commandLine().setErr(new PrintWriter(err, true)).setOut(new PrintWriter(new StringWriter()))
                .execute(line.split(" "));
    }
}
