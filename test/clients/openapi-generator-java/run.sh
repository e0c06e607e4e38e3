. ../missing.sh
. ../openapi-generator.sh
# Without the last option the client refuses every member that a later release adds to an answer.
# A call of an agent is JSON or a form: without this the class of the form is imported, and not made.
generate java --global-property skipFormModel=false \
  --additional-properties groupId=example,artifactId=orchflow,disallowAdditionalPropertiesIfNotPresent=false
cp Flow.java client/src/main/java
cd client
mvn --quiet -DskipTests compile dependency:build-classpath -Dmdep.outputFile=classpath
java -classpath "target/classes:$(cat classpath)" Flow
