package dev.longalign;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noFields;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Set;

/** The arrows of ARCHITECTURE.md between the packages of longalign-api. */
@AnalyzeClasses(packages = "dev.longalign", importOptions = ImportOption.DoNotIncludeTests.class)
final class ArchitectureTest {

  @ArchTest static final ArchRule hostIsTheGround = mayUse("host");
  @ArchTest static final ArchRule tensorIsTheFloor = mayUse("tensor", "host");
  @ArchTest static final ArchRule randomUsesTensor = mayUse("random", "tensor");
  @ArchTest static final ArchRule ioUsesTensor = mayUse("io", "tensor");
  @ArchTest static final ArchRule autogradUsesTensor = mayUse("autograd", "tensor");

  @ArchTest
  static final ArchRule nnUsesAutograd = mayUse("nn", "autograd", "tensor", "io", "random");

  @ArchTest
  static final ArchRule schedulerUsesTensor = mayUse("scheduler", "tensor", "random", "io");

  @ArchTest
  static final ArchRule textUsesLayers = mayUse("text", "nn", "autograd", "tensor", "io", "random");

  @ArchTest
  static final ArchRule modelsUseLayers =
      mayUse("model", "nn", "autograd", "tensor", "io", "random");

  @ArchTest
  static final ArchRule pipelineIsBelowTheHouse =
      mayUse(
          "pipeline",
          "model",
          "data",
          "text",
          "scheduler",
          "nn",
          "autograd",
          "tensor",
          "io",
          "random");

  @ArchTest
  static final ArchRule preferenceUsesLayers =
      mayUse("preference", "text", "nn", "autograd", "tensor", "io", "random");

  @ArchTest
  static final ArchRule trainingIsBelowTheHouse =
      mayUse(
          "training",
          "pipeline",
          "model",
          "preference",
          "data",
          "text",
          "scheduler",
          "nn",
          "autograd",
          "tensor",
          "io",
          "random");

  @ArchTest
  static final ArchRule evaluationComparesPictures =
      mayUse(
          "evaluation", "preference", "data", "text", "nn", "autograd", "tensor", "io", "random");

  @ArchTest static final ArchRule dataUsesFiles = mayUse("data", "text", "tensor", "io", "host");

  /** The error type and nothing else of the root package is known below it. */
  @ArchTest
  static final ArchRule roomsDoNotKnowTheHouse =
      noClasses()
          .that()
          .resideInAPackage("dev.longalign.*..")
          .should()
          .dependOnClassesThat(
              DescribedPredicate.describe(
                  "are in the root package and not LongAlignException",
                  (JavaClass c) ->
                      c.getPackageName().equals("dev.longalign")
                          && !c.isEquivalentTo(LongAlignException.class)))
          .allowEmptyShould(true);

  /** A device is opened by ServiceLoader; nobody names an implementation. */
  @ArchTest
  static final ArchRule backendsAreFoundNotNamed =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.longalign.tensor.cpu..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("dev.longalign.tensor.cpu..")
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule noDeviceAndNoRuntimeInTheMethod =
      noClasses()
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "jcuda..", "ai.onnxruntime..", "dev.longalign.onnx..", "dev.longalign.cuda..");

  /** Parquet's libraries are optional: one class knows them, so that all else works without. */
  @ArchTest
  static final ArchRule parquetStaysInOneClass =
      noClasses()
          .that()
          .doNotHaveSimpleName("ParquetRows")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.apache.parquet..", "org.apache.hadoop..", "com.jerolba..");

  @ArchTest
  static final ArchRule nativeMathStaysInTheCpuBackend =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.longalign.tensor.cpu..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("org.bytedeco..");

  @ArchTest
  static final ArchRule librariesLogThroughSlf4j =
      noClasses()
          .should()
          .accessField(System.class, "out")
          .orShould()
          .accessField(System.class, "err")
          .orShould()
          .callMethod(Throwable.class, "printStackTrace");

  @ArchTest
  static final ArchRule noMutableStatics =
      noFields()
          .that()
          .areStatic()
          .and()
          .areNotFinal()
          .should()
          .beDeclaredInClassesThat()
          .resideInAPackage("dev.longalign..")
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule exceptionsAreOurs =
      classes()
          .that()
          .areAssignableTo(Throwable.class)
          .and()
          .doNotHaveModifier(JavaModifier.ABSTRACT)
          .should()
          .beAssignableTo(LongAlignException.class);

  /** Inside the project, a room depends on itself, the rooms listed and the error type only. */
  private static ArchRule mayUse(String room, String... rooms) {
    Set<String> allowed = new LinkedHashSet<>();
    allowed.add(room);
    allowed.addAll(Arrays.asList(rooms));
    String[] packages =
        allowed.stream().map(r -> "dev.longalign." + r + "..").toArray(String[]::new);
    return noClasses()
        .that()
        .resideInAPackage("dev.longalign." + room + "..")
        .should()
        .dependOnClassesThat(
            resideInAnyPackage("dev.longalign..")
                .and(not(resideInAnyPackage(packages)))
                .and(not(JavaClass.Predicates.type(LongAlignException.class)))
                .as("outside of " + allowed))
        .allowEmptyShould(true);
  }
}
