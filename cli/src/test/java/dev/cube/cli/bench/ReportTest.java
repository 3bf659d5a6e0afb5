package dev.cube.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.xml.sax.InputSource;

class ReportTest {
    private final ReportPlan plan = ReportPlan.load();

    @Test
    void everyCommandOfThePlanIsOne() {
        assertThat(plan.commands(false, benchmark -> true)).hasSizeGreaterThan(20)
                .allSatisfy(line -> assertThat(CubeBench.parse(line.split(" "))).isNotNull());
        assertThat(plan.commands(true, "dirty"::equals)).isNotEmpty().allSatisfy(line -> assertThat(line)
                .startsWith("dirty "));
    }

    @Test
    void everyFigureThatThePlanNamesIsMeasured() {
        for (ReportPlan.Section section : plan.sections()) {
            assertThat(section.rows()).isNotEmpty().allSatisfy(row -> {
                assertThat(row.key()).hasSameSizeAs(section.keys());
                assertThat(section.columns()).extracting(ReportPlan.Column::name).containsAll(row.reference().keySet());
            });
        }
        plan.summary().forEach(headline -> {
            ReportPlan.Section section = plan.section(headline.section());
            assertThat(section.row(headline.key())).isNotNull();
            assertThat(section.column(headline.columnOf(true))).isNotNull();
            assertThat(section.column(headline.columnOf(false))).isNotNull();
        });
        plan.plots().forEach(plot -> plot.lines().forEach(line ->
                assertThat(plan.section(plot.section()).column(line.column())).isNotNull()));
    }

    @Test
    void putsOursBesideTheReferences() {
        var comparison = new Comparison(plan, List.of(run("live fork", rollback(1, 9.0)), run("by image", rollback(1, 27.0))));
        Comparison.Table table = comparison.table(plan.section("rollback"));
        assertThat(table.headings()).containsExactly("c", "", "rounds", "wall avg", "min", "p95", "max", "per");
        assertThat(table.rows()).extracting(Comparison.Row::cells).containsExactly(
                List.of("1", "reference", "", "90.0", "82.0", "98.3", "", "90.0"),
                List.of("", "live fork", "2", "9.0", "8.0", "10.0", "10.0", "9.0"),
                List.of("", "by image", "2", "27.0", "26.0", "28.0", "28.0", "27.0"),
                List.of("5", "reference", "", "325.5", "322.9", "329.4", "", "65.1"),
                List.of("10", "reference", "", "821.4", "778.7", "858.1", "", "82.1"));
        assertThat(comparison.summary().rows()).extracting(Comparison.Row::cells)
                .contains(List.of("rollback", "90.0", "9.0", "27.0", "10.0"));
    }

    @Test
    void takesTheLastOfTheMeasurementsForARow() {
        var comparison = new Comparison(plan, List.of(run("ours", rollback(1, 9.0), rollback(1, 7.5))));
        assertThat(comparison.table(plan.section("rollback")).rows().get(1).cells()).contains("7.5");
    }

    @Test
    void tellsOfFailures() {
        BenchReport failed = BenchReport.of("clone", Map.of("number", 1, "concurrency", 1),
                Map.of("clone", Walls.of(List.of(), 1)), List.of("no room", "no room"));
        var comparison = new Comparison(plan, List.of(new ReportRun("ours", "now", Map.of(), List.of(
                ReportRun.Entry.of("clone -n 1", failed), new ReportRun.Entry("density", null, "no server answers")))));
        assertThat(comparison.faults()).containsExactly("ours: clone -n 1: 2 failed, the first with: no room",
                "ours: density: no server answers");
        assertThat(new ReportPage(comparison).html()).contains("no server answers");
        assertThat(comparison.table(plan.section("clone")).rows().getFirst().cells()).contains("270.6");
    }

    @Test
    void thePageIsWellFormedAndNeedsNothingElse() throws Exception {
        var comparison = new Comparison(plan, List.of(run("<b>\"ours\" & others", rollback(1, 9.0), rollback(10, 90.5)),
                run("by image", rollback(1, 27.0))));
        String html = new ReportPage(comparison).html();
        assertThat(html).doesNotContain("http:", "https:", "url(", "<script", "<link", "<b>\"ours\"")
                .contains("&lt;b&gt;&quot;ours&quot; &amp; others");
        String body = html.substring(html.indexOf("<body>"), html.indexOf("</body>") + "</body>".length());
        var factory = DocumentBuilderFactory.newInstance();
        var document = factory.newDocumentBuilder().parse(new InputSource(new StringReader(body)));
        assertThat(document.getElementsByTagName("svg").getLength()).isEqualTo(plan.plots().size());
        assertThat(document.getElementsByTagName("table").getLength()).isEqualTo(plan.sections().size() + 1);
    }

    @Test
    void theMarkdownHasATableForEachSection() {
        var comparison = new Comparison(plan, List.of(run("a|b", rollback(1, 9.0))));
        String text = new ReportMarkdown(comparison).text();
        assertThat(text).contains("|  | a\\|b | 2 | 9.0 | 8.0 | 10.0 | 10.0 | 9.0 |")
                .contains("    bin/cube-bench rollback -c 1\n");
        assertThat(text.lines().filter(line -> line.startsWith("## "))).hasSize(plan.sections().size() + 1);
    }

    @Test
    void isTheSameWhenItWasKeptInAFile(@TempDir Path directory) throws IOException {
        Path file = directory.resolve("report.json");
        ReportRun run = run("ours", rollback(1, 9.0));
        run.write(file);
        assertThat(new ReportMarkdown(new Comparison(plan, List.of(ReportRun.read(file)))).text())
                .isEqualTo(new ReportMarkdown(new Comparison(plan, List.of(run))).text());
    }

    @Test
    void refusesAFileOfAnotherKind(@TempDir Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("other.json"), "{\"figures\":{}}");
        assertThatThrownBy(() -> ReportRun.read(file)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is not what cube-bench report wrote");
        Files.writeString(file, "no json");
        assertThatThrownBy(() -> ReportRun.read(file)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("cannot read");
    }

    private static ReportRun run(String name, ReportRun.Entry... entries) {
        return new ReportRun(name, "2026-01-02T03:04:05Z", new LinkedHashMap<>(Map.of("kernel", "Linux 6.1")),
                List.of(entries));
    }

    private static ReportRun.Entry rollback(int concurrency, double avg) {
        return ReportRun.Entry.of("rollback -c " + concurrency, BenchReport.of("rollback",
                Map.of("concurrency", concurrency, "rounds", 2),
                Map.of("rollback", Walls.of(List.of(avg - 1, avg + 1), concurrency)), List.of()));
    }
}
