# Sourced by the run.sh of each of its languages: OpenAPI Generator is a program in Java, which Maven brings.
need java
need mvn
mvn --quiet dependency:copy -DoutputDirectory=. -Dartifact=org.openapitools:openapi-generator-cli:7.25.0:jar ||
  skip 'Maven gives no packages'

generate() {
  java -jar openapi-generator-cli-7.25.0.jar generate --input-spec openapi.json --output client --generator-name "$@" \
    >generated.log || { cat generated.log; exit 1; }
}
