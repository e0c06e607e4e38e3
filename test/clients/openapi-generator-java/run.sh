. ../missing.sh
. ../openapi-generator.sh
# Without the last option the client refuses every member that a later release adds to an answer.
generate java \
  --additional-properties groupId=example,artifactId=orchflow,disallowAdditionalPropertiesIfNotPresent=false
cp Flow.java client/src/main/java
cd client
mvn --quiet -DskipTests compile dependency:build-classpath -Dmdep.outputFile=classpath
java -classpath "target/classes:$(cat classpath)" Flow
