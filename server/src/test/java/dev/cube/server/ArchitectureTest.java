package dev.cube.server;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.methods;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.GeneralCodingRules.NO_CLASSES_SHOULD_USE_JAVA_UTIL_LOGGING;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.library.GeneralCodingRules;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** The rules that hold the code of all modules together. */
@AnalyzeClasses(packages = "dev.cube", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
    @ArchTest
    static final ArchRule modulesDependDownwardsOnly = layeredArchitecture()
            .consideringOnlyDependenciesInAnyPackage("dev.cube..").withOptionalLayers(true)
            .layer("hypervisor").definedBy("dev.cube.hypervisor..")
            .layer("guest").definedBy("dev.cube.guest..")
            .layer("image").definedBy("dev.cube.image..")
            .layer("cubelet").definedBy("dev.cube.cubelet..")
            .layer("master").definedBy("dev.cube.master..")
            .layer("http").definedBy("dev.cube.http..")
            .layer("api").definedBy("dev.cube.api..")
            .layer("envd").definedBy("dev.cube.envd..")
            .layer("proxy").definedBy("dev.cube.proxy..")
            .layer("sdk").definedBy("dev.cube.sdk..")
            .layer("cli").definedBy("dev.cube.cli..")
            .layer("server").definedBy("dev.cube.server..")
            .whereLayer("hypervisor").mayNotAccessAnyLayer()
            .whereLayer("guest").mayNotAccessAnyLayer()
            .whereLayer("image").mayNotAccessAnyLayer()
            .whereLayer("http").mayNotAccessAnyLayer()
            .whereLayer("sdk").mayNotAccessAnyLayer()
            .whereLayer("cubelet").mayOnlyAccessLayers("hypervisor", "guest", "image")
            .whereLayer("master").mayOnlyAccessLayers("cubelet", "hypervisor", "guest", "image")
            .whereLayer("api").mayOnlyAccessLayers("master", "http", "hypervisor")
            .whereLayer("envd").mayOnlyAccessLayers("guest", "http", "cubelet")
            .whereLayer("proxy").mayOnlyAccessLayers("envd", "http", "guest")
            .whereLayer("cli").mayOnlyAccessLayers("sdk")
            .whereLayer("server").mayNotBeAccessedByAnyLayer();

    @ArchTest
    static final ArchRule modulesHaveNoCycles = slices().matching("dev.cube.(*)..").should().beFreeOfCycles();

    @ArchTest
    static final ArchRule standardStreamsAreForTheCommandLine = noClasses()
            .that().resideOutsideOfPackages("dev.cube.cli..", "dev.cube.server")
            .should(GeneralCodingRules.ACCESS_STANDARD_STREAMS);

    @ArchTest
    static final ArchRule loggingIsSlf4j = NO_CLASSES_SHOULD_USE_JAVA_UTIL_LOGGING;

    /** A boundary has one exception type, by which its callers tell its failures from others. */
    @ArchTest
    static void packagesShowOneExceptionAtMost(JavaClasses classes) {
        Map<String, List<String>> shown = classes.stream()
                .filter(type -> type.isAssignableTo(Throwable.class) && type.isTopLevelClass())
                .filter(type -> type.getModifiers().contains(JavaModifier.PUBLIC))
                .collect(Collectors.groupingBy(JavaClass::getPackageName,
                        Collectors.mapping(JavaClass::getSimpleName, Collectors.toList())));

        assertThat(shown).isNotEmpty().allSatisfy((name, types) -> assertThat(types).hasSize(1));
    }

    @ArchTest
    static final ArchRule noJni = methods().should().notHaveModifier(
            JavaModifier.NATIVE);
}
