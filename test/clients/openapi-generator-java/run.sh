. ../missing.sh
. ../openapi-generator.sh
generate java --additional-properties groupId=example,artifactId=orchflow
cp Flow.java client/src/main/java
cd client
mvn --quiet -DskipTests compile dependency:build-classpath -Dmdep.outputFile=classpath
java -classpath "target/classes:$(cat classpath)" Flow
